"""How every process of the server writes its log: one line an entry, as text or as JSON, to standard error."""

import logging
import sys
import time

import msgspec

from universal_core.config import LoggingConfig

_STANDARD = frozenset(vars(logging.makeLogRecord({})))
# Paths and names come from clients, who are not to write lines of their own or to move a terminal's cursor.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}


class TextFormatter(logging.Formatter):
    """``12:00:00 INFO  message key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the entry as one readable line, a traceback below it where there is one."""
        line = (
            f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {record.levelname:<7} {record.getMessage()}"
        )
        line += "".join(f" {key}={value}" for key, value in extras(record).items())
        line = line.translate(_CONTROLS)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object an entry."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the entry as JSON with time (ISO 8601, UTC), level, logger, message and whatever it carries."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **extras(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(entry, enc_hook=str).decode()


def extras(record: logging.LogRecord) -> dict[str, object]:
    """Return what was passed as ``extra`` with a log entry."""
    return {
        key: value for key, value in vars(record).items() if key not in _STANDARD and key not in ("message", "asctime")
    }


def configure(config: LoggingConfig) -> None:
    """Send this process's log to standard error in the configured form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if config.format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(config.level.upper())
    # Libraries that narrate every request say nothing here that our own access log does not.
    for chatty in ("hypercorn.error", "httpx", "httpcore", "httpx2", "filelock", "urllib3", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
