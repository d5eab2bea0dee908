"""The rules behind `--nothing-left-out`, which CI uses."""

from pathlib import Path

import pytest

from tests.support.completeness import is_allowed, read_allowed

pytestmark = pytest.mark.unit


def test_allowed_skips_need_a_reason(tmp_path: Path) -> None:
    file = tmp_path / "allowed_skips.txt"
    file.write_text("# heading\n\ntests/a.py::test_b # Orthanc is not installed\ntests/c/* # needs func\n", "utf-8")
    allowed = read_allowed(file)
    assert is_allowed("tests/a.py::test_b", allowed)
    assert is_allowed("tests/c/test_d.py::test_e[1]", allowed)
    assert not is_allowed("tests/a.py::test_b[1]", allowed)
    file.write_text("tests/a.py::test_b\n", "utf-8")
    with pytest.raises(ValueError, match="no reason"):
        read_allowed(file)


def test_a_session_that_leaves_something_out_fails(pytester: pytest.Pytester) -> None:
    root = Path(__file__).resolve().parents[2]
    pytester.makeconftest(f"""
        import sys; sys.path.insert(0, {str(root)!r})
        from tests.support.completeness import NothingLeftOut
        def pytest_configure(config):
            config.pluginmanager.register(NothingLeftOut({{"tests/test_a.py::test_listed": "reason"}}))
    """)
    folder = pytester.mkdir("tests")
    (folder / "runtime").mkdir()
    (folder / "runtime" / "test_r.py").write_text("def test_r(): pass\n", "utf-8")
    listed = "import pytest\n@pytest.mark.skip\ndef test_listed(): pass\n"
    (folder / "test_a.py").write_text(listed, "utf-8")
    assert pytester.runpytest_subprocess().ret == 0

    (folder / "test_a.py").write_text(listed + "@pytest.mark.skip\ndef test_other(): pass\n", "utf-8")
    result = pytester.runpytest_subprocess()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["skipped, and not listed: tests/test_a.py::test_other", "*1 passed, 2 skipped*"])

    (folder / "test_a.py").write_text(listed, "utf-8")
    (folder / "runtime" / "test_r.py").write_text("import pytest\npytest.skip(allow_module_level=True)\n", "utf-8")
    result = pytester.runpytest_subprocess()
    assert result.ret != 0
    result.stdout.fnmatch_lines(["the check against the real worker library (tests/runtime/) did not run"])
