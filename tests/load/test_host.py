"""The limit of open files."""

from __future__ import annotations

import resource

import pytest

from monitor.errors import StartupError
from monitor.load import host


def test_too_few_file_descriptors_are_an_error_before_the_start() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        pytest.skip("this machine has no limit of file descriptors")
    with pytest.raises(StartupError, match=rf"needs {hard + 64} file descriptors, and this process may have {hard}"):
        host.raise_file_limit(hard)
