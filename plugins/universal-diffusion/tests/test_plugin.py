"""The plugin as the core sees it: what importing it costs, and what its workers begin with."""

import subprocess
import sys

import msgspec
import pytest

import universal_diffusion
from universal_diffusion.claims import BACKEND
from universal_diffusion.options import DiffusionOptions


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.strip()


def test_importing_the_plugin_and_claiming_import_no_machine_learning() -> None:
    heavy = "('torch', 'diffusers', 'transformers', 'tokenizers', 'safetensors', 'numpy', 'peft', 'accelerate')"
    code = (
        "import sys, universal_diffusion\n"
        "from universal_core import ModelInfo, ModelRef\n"
        "index = {'_class_name': 'FluxPipeline', 'vae': ['diffusers', 'AutoencoderKL']}\n"
        "info = ModelInfo(id='a/b', ref=ModelRef.parse('a/b'), source='', documents={'model_index.json': index})\n"
        "assert universal_diffusion.claim_model(info)\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    assert run_python(code) == "[]"


def test_the_backend_is_registered() -> None:
    assert list(universal_diffusion.register_backends()) == [BACKEND]


def test_what_is_preloaded_touches_no_accelerator_starts_no_thread_and_says_nothing() -> None:
    code = (
        "import importlib, sys, warnings, universal_diffusion\n"
        # diffusers imports it where it is, and it is here for another plugin; what it says is not ours.
        "sys.modules['torchao'] = None\n"
        "warnings.simplefilter('ignore')\n"
        f"for name in {BACKEND.preload!r}: importlib.import_module(name)\n"
        "import threading, torch\n"
        "print(torch.cuda.is_initialized(), threading.active_count())"
    )
    assert run_python(code) == "False 1"


def test_what_llamafarm_configures_are_options() -> None:
    table = {
        "default_steps": 4,
        "default_guidance": 0.0,
        "default_size": "512x384",
        "scheduler": "euler",
        "enable_optimizations": False,
        "device": "cpu",
        "dtype": "float32",
        "trust_remote_code": False,
    }
    options = msgspec.convert(table, DiffusionOptions)
    assert options.size == (512, 384)
    assert not options.enable_optimizations


def test_one_number_is_both_sides_of_a_size() -> None:
    for value in (512, "512"):
        assert msgspec.convert({"default_size": value}, DiffusionOptions).size == (512, 512)


@pytest.mark.parametrize("value", [0, "0", "512x", "0x512", "-1x2", "axb", "512X512"])
def test_a_size_is_width_and_height(value: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="default_size"):
        msgspec.convert({"default_size": value}, DiffusionOptions)
