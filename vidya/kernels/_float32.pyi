"""What cffi makes of csrc/vidya.h: functions and C types are found at run time."""

from typing import Any

ffi: Any
lib: Any
