#!/bin/sh
# Makes .venv ready: the core and every plugin of this working tree, and the dependency groups named as arguments.
#
#   PYTHON=python3.12 scripts/environment.sh test lint
#
# A stamp in .venv records what each part was installed from. It is written last, so an interrupted installation is
# done again and a finished one costs nothing.
set -eu
cd "$(dirname "$0")/.."

supported() {
    case "$1" in 3.11 | 3.12 | 3.13) ;; *) return 1 ;; esac
}

version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

# Sets python and version.
find_python() {
    set -- python3.11 python3.12 python3.13 python3
    if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; fi
    for python in "$@"; do
        version=$(version_of "$python")
        if supported "$version"; then return; fi
    done
    echo "universal needs Python 3.11, 3.12 or 3.13; found ${version:-none}; set PYTHON=/path/to/python" >&2
    exit 1
}

pip_install() {
    .venv/bin/python -m pip install -qq "$@"
}

# install STAMP MESSAGE PIP-ARGUMENT...
install() {
    stamp=.venv/.installed-$1
    if [ "$(cat "$stamp" 2>/dev/null)" = "$key" ]; then return; fi
    echo "$2"
    shift 2
    rm -f "$stamp"
    pip_install "$@"
    echo "$key" >"$stamp"
}

# An environment made elsewhere (the folder was moved or copied) has the old place in its scripts.
current=
if [ "$(cat .venv/.made-in 2>/dev/null)" = "$(pwd)" ]; then current=$(version_of .venv/bin/python); fi

# Without PYTHON any environment that works is kept, whichever interpreter would be found first today.
if [ -n "${PYTHON:-}" ] || ! supported "$current"; then
    find_python
    if [ "$version" != "$current" ]; then
        echo "Creating .venv with Python $version ..."
        rm -rf .venv
        "$python" -m venv .venv
        pip_install --constraint constraints.txt --upgrade pip # Dependency groups need pip 25.1.
        pwd >.venv/.made-in
    fi
fi

key=$(cat pyproject.toml constraints.txt plugins/*/pyproject.toml | cksum)
count=0
projects="--constraint constraints.txt --editable ."
for plugin in plugins/*/pyproject.toml; do
    count=$((count + 1))
    folder=${plugin%/pyproject.toml}
    # With the extras that the core's own extra asks for: audio = ["universal-audio[stt,tts]"].
    extras=$(sed -n "s/^[a-z]* = \[\"${folder#plugins/}\(\[[a-z,]*\]\)\"\]$/\1/p" pyproject.toml)
    projects="$projects --editable $folder$extras"
done
plural=$([ "$count" = 1 ] || echo s)

# shellcheck disable=SC2086 # The projects are several arguments.
install core "Installing universal-core and $count plugin$plural into .venv (a few minutes the first time) ..." $projects
for group in "$@"; do
    case "$group" in
    # An older SDK cannot be installed beside the newest, which is in constraints.txt; it gets a folder of its own.
    openai-1) set -- --no-deps --upgrade --target .venv/openai-1 ;;
    *) set -- --constraint constraints.txt ;;
    esac
    install "$group" "Installing the packages of the group \"$group\" into .venv ..." --group "$group" "$@"
done
