"""What llama.cpp says of itself and of this machine."""

import llama_cpp

from universal_gguf import devices, library


def test_the_processor_is_among_the_devices() -> None:
    found = devices.describe()
    assert found.version == llama_cpp.__version__
    assert "CPU" in found.summary
    assert any(device.type == "cpu" and device.total > 0 for device in found.devices)
    assert found.offloads == any(device.is_gpu for device in found.devices)


def test_without_an_accelerator_nothing_is_there() -> None:
    if not devices.describe().offloads:
        assert library.gpu_memory() == 0


def test_the_lines_that_install_other_builds_name_this_version() -> None:
    assert set(devices.INSTALL) == {"cuda", "metal", "vulkan", "rocm"}
    assert all(line.endswith(f"llama-cpp-python=={llama_cpp.__version__}") for line in devices.INSTALL.values())
    assert "-DGGML_CUDA=on" in devices.INSTALL["cuda"]
