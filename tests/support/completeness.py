"""The rules of CI about what did not run: every skip is listed with its reason, and the runtime check has run."""

from pathlib import Path

import pytest

RUNTIME_CHECK = "tests/runtime/"


def read_allowed(file: Path) -> dict[str, str]:
    """Node ids (or beginnings of them, with a `*` at the end) and the reasons; raises `ValueError` without a reason."""
    allowed: dict[str, str] = {}
    for line in file.read_text("utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        node, _, reason = line.partition(" # ")
        if not reason.strip():
            raise ValueError(f"{file.name}: no reason is given for {node}")
        allowed[node.strip()] = reason.strip()
    return allowed


def is_allowed(node: str, allowed: dict[str, str]) -> bool:
    """Whether the skip of a test, or of a whole module, is listed."""
    return any(node == entry or (entry.endswith("*") and node.startswith(entry[:-1])) for entry in allowed)


class NothingLeftOut:
    """The plugin behind `--nothing-left-out`: a session that left something out fails."""

    def __init__(self, allowed: dict[str, str]) -> None:
        self._allowed = allowed
        self._skipped: list[str] = []
        self._runtime_checked = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes skips; an expected failure (xfail) is none."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self._skipped.append(report.nodeid)
        if report.passed and report.when == "call" and report.nodeid.startswith(RUNTIME_CHECK):
            self._runtime_checked = True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Notes modules that skip themselves as a whole."""
        if report.skipped:
            self._skipped.append(report.nodeid)

    def faults(self) -> list[str]:
        """What was left out, a line each."""
        faults = [f"skipped, and not listed: {node}" for node in self._skipped if not is_allowed(node, self._allowed)]
        if not self._runtime_checked:
            faults.append(f"the check against the real worker library ({RUNTIME_CHECK}) did not run")
        return faults

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Turns a success into a failure."""
        if session.exitstatus == pytest.ExitCode.OK and self.faults():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Says what was left out."""
        faults = self.faults()
        if faults:
            terminalreporter.section("left out", red=True)
            for fault in faults:
                terminalreporter.write_line(fault)
