"""What the ssh client is asked, and the sentence for each thing that it answers.

The real client and sshd are in `board/`; here a script in its place prints what clients print.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from edgecmp.benchmarks.devices import open_device
from edgecmp.errors import UserError

USAGE = """\
usage: ssh [-46AaCfGgKkMNnqsTtVvXxYy] [-B bind_interface] [-b bind_address]
           [-Q query_option] [-R address] [-S ctl_path] [-W host:port]
           [-w local_tun[:remote_tun]] destination [command [argument ...]]
"""


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder: the client prints its files `stdout` and `stderr`, and writes its `arguments`."""
    client = tmp_path / "bin" / "ssh"
    client.parent.mkdir()
    client.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >> {tmp_path}/arguments\n'
        f"cat {tmp_path}/stdout 2>/dev/null; cat {tmp_path}/stderr >&2 2>/dev/null\n"
        f"exit $(cat {tmp_path}/code)\n"
    )
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{client.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "code").write_text("255")
    return tmp_path


@pytest.mark.parametrize(
    ("stderr", "says", "way_out"),
    [
        (
            "root@host: Permission denied (publickey,password).",
            r"refuses the key \(root@host: Permission denied \(publickey,password\)\)\.",
            "ssh-copy-id",
        ),
        (
            "@@@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@@@\n"
            "Host key verification failed.",
            r"has a host key that is unknown or has changed \(Host key verification failed\)\.",
            "accept the key if it is the right one",
        ),
        (
            "Received disconnect from 10.0.0.7 port 22:2: Too many authentication failures",
            r"refuses the keys \(Received disconnect",
            "IdentitiesOnly yes",
        ),
        (
            "ssh: Could not resolve hostname host: Name or service not known",
            "has a host name that cannot be resolved",
            "use an IP address",
        ),
        (USAGE, r"is an address that the ssh client here does not understand\. ", "`ssh -F"),
        (
            "mktemp: failed to create directory via template: Permission denied",
            r"cannot create a temporary folder \(mktemp: failed",
            "?folder=/home/user",
        ),
        ("ssh: connect to host h port 22: No route to host", "cannot be reached", "ssh -F"),
    ],
)
def test_what_the_client_says_becomes_a_sentence(
    stderr: str, says: str, way_out: str, answers: Path
) -> None:
    (answers / "stderr").write_text(stderr + "\n")
    with pytest.raises(UserError, match=f"^ssh://root@host:2222 {says}") as caught:
        open_device("ssh://root@host:2222?config=~/my config")
    assert "destination [command" not in str(caught.value)
    assert caught.value.what.count("\n") == 0
    assert way_out in caught.value.way_out
    if "`ssh" in caught.value.way_out:
        command = shlex.join(["ssh", "-F", f"{answers}/my config", "-p", "2222", "root@host"])
        assert f"`{command}" in caught.value.way_out


@pytest.mark.parametrize(("stdout", "printed"), [("", "nothing"), ("git shell\n", "git shell")])
def test_an_account_without_a_shell(stdout: str, printed: str, answers: Path) -> None:
    (answers / "code").write_text("0")
    (answers / "stdout").write_text(stdout)
    with pytest.raises(UserError, match=rf"does not run commands \(it printed: {printed}\)"):
        open_device("ssh://host")


def test_the_client_gets_the_address_and_the_expanded_paths(answers: Path) -> None:
    with pytest.raises(UserError):
        open_device("ssh://root@[::1]:22022?config=~/c&folder=~/f o")
    arguments = (answers / "arguments").read_text().splitlines()
    assert arguments[:2] == ["-F", f"{answers}/c"]
    place = arguments.index("-p")
    assert arguments[place : place + 3] == ["-p", "22022", "root@::1"]
    assert "mktemp -d ~/" in arguments[place + 3]


def test_a_home_that_does_not_exist_stays_as_it_is(answers: Path) -> None:
    with pytest.raises(UserError):
        open_device("ssh://host?config=~nobody-here/c")
    assert (answers / "arguments").read_text().splitlines()[1] == "~nobody-here/c"
    with pytest.raises(UserError, match="does not name a file"):
        open_device("adb?benchmark_model=~nobody-here/c")
