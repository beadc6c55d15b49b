"""What surrounds the binary: the scripts, the development certificate, the container's steps."""

import os
import re
import shutil
import stat
import subprocess

import pytest

from harness.authority import pair
from harness.backends import ScriptedBackend
from harness.edge import REPOSITORY, Edge, configuration
from harness.wire import connect, tunnel

SCRIPTS = REPOSITORY / "scripts"


def run(*command, timeout=60, **options):
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=timeout, **options
    )


@pytest.fixture
def with_programs(tmp_path):
    """`with_programs(name=body, ...)`: an environment where these shell scripts come first."""

    def environment(**programs):
        for name, body in programs.items():
            path = tmp_path / "bin" / name.replace("_", "-")
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/bash\n{body}\n")
            path.chmod(0o755)
        return os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}

    return environment


def test_every_script_is_executable_and_parses():
    for script in [*SCRIPTS.iterdir(), REPOSITORY / "certs/generate", REPOSITORY / ".ci/run"]:
        assert script.stat().st_mode & stat.S_IXUSR, script
        assert run("bash", "-n", script).returncode == 0, script


class TestToolchain:
    def test_the_one_here_is_good(self):
        made = run(SCRIPTS / "require-swift")
        assert (made.returncode, made.stderr) == (0, "")

    def test_missing(self, with_programs):
        made = run(SCRIPTS / "require-swift", env=with_programs(swift="exit 127"))
        assert made.returncode == 1
        assert made.stderr.count("\n") == 1 and "swift.org/install" in made.stderr

    @pytest.mark.parametrize("version", ["5.10", "6.1"])
    def test_too_old(self, with_programs, version):
        made = run(SCRIPTS / "require-swift", env=with_programs(swift=self.saying(version)))
        assert made.returncode == 1
        assert made.stderr.count("\n") == 1 and version in made.stderr

    @pytest.mark.parametrize("version", ["6.2", "6.3.1", "7.0"])
    def test_new_enough(self, with_programs, version):
        made = run(SCRIPTS / "require-swift", env=with_programs(swift=self.saying(version)))
        assert (made.returncode, made.stderr) == (0, "")

    @staticmethod
    def saying(version):
        return f"echo 'Swift version {version} (swift-{version}-RELEASE)'"


class TestPackages:
    """With apt and dpkg replaced: nothing is installed here."""

    @pytest.fixture
    def install(self, with_programs, tmp_path):
        def call(*, present, user=0, **programs):
            calls = tmp_path / "calls"
            environment = with_programs(
                dpkg_query="echo installed" if present else "exit 1",
                apt_get=f'echo "apt-get $*" >> {calls}', id=f"echo {user}", **programs,
            )  # fmt: skip
            made = run(SCRIPTS / "install-packages", "build", env=environment)
            return made, calls.read_text().splitlines() if calls.exists() else []

        return call

    def test_nothing_is_asked_of_apt_when_nothing_is_missing(self, install):
        made, calls = install(present=True)
        assert (made.returncode, calls) == (0, [])

    def test_update_comes_before_install(self, install):
        made, calls = install(present=False)
        assert made.returncode == 0
        assert calls[0] == "apt-get update"
        assert calls[1].startswith("apt-get install ") and "libssl-dev" in calls[1]

    def test_without_root_there_is_sudo(self, install):
        made, calls = install(present=False, user=1000, sudo='"$@"')
        assert made.returncode == 0 and len(calls) == 2

    def test_without_root_and_sudo_there_is_a_line_to_run(self, with_programs, tmp_path):
        environment = with_programs(dpkg_query="exit 1", id="echo 1000")
        # Only what the script itself needs, so that no sudo of this machine is found.
        os.symlink(shutil.which("bash"), tmp_path / "bin/bash")
        environment["PATH"] = str(tmp_path / "bin")
        made = run(shutil.which("bash"), SCRIPTS / "install-packages", "build", env=environment)
        assert made.returncode == 1
        assert made.stderr.count("\n") == 1 and "apt-get install" in made.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A directory of development certificates."""
    directory = tmp_path_factory.mktemp("certs") / "dev"
    assert run(REPOSITORY / "certs/generate", directory).returncode == 0
    return directory


class TestCertificates:
    def test_files(self, made):
        assert sorted(path.name for path in made.iterdir()) == [
            "ca.pem", "localhost-key.pem", "localhost.pem",
        ]  # fmt: skip
        assert stat.S_IMODE((made / "localhost-key.pem").stat().st_mode) == 0o600

    def test_names(self, made):
        text = run("openssl", "x509", "-in", made / "localhost.pem", "-noout", "-text").stdout
        assert "DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1" in text

    def test_made_once(self, made):
        before = (made / "localhost.pem").read_bytes()
        again = run(REPOSITORY / "certs/generate", made)
        assert (again.returncode, again.stdout) == (0, "")
        assert (made / "localhost.pem").read_bytes() == before

    def test_made_again_when_a_file_is_missing_or_of_another_authority(self, tmp_path):
        generate = REPOSITORY / "certs/generate"
        for name in ("localhost-key.pem", "ca.pem"):
            assert run(generate, tmp_path / "dev").returncode == 0
            (tmp_path / "dev" / name).unlink()
            assert "Made" in run(generate, tmp_path / "dev").stdout
        run(generate, tmp_path / "other")
        shutil.copy(tmp_path / "other/ca.pem", tmp_path / "dev/ca.pem")
        assert "Made" in run(generate, tmp_path / "dev").stdout

    def test_served(self, made, enter):
        backend = enter(ScriptedBackend())
        issued = pair((str(made / "localhost.pem"), str(made / "localhost-key.pem")))
        listeners = [{"address": "127.0.0.1:0", "tls": {"certificates": [issued]}}]
        edge = enter(Edge(configuration(backend.url, listeners=listeners)))
        command = ["curl", "-sS", "--cacert", made / "ca.pem", "-o", "/dev/null"]
        command += ["-w", "%{http_code}"]
        for host in ("localhost", "127.0.0.1"):
            answer = run(*command, f"https://{host}:{edge.port}/")
            assert answer.stdout == "426", answer.stderr


def test_nothing_secret_is_committed():
    """Keys are made, never kept in the repository."""
    if run("git", "-C", REPOSITORY, "rev-parse", "HEAD").returncode != 0:
        pytest.skip("not a git checkout with commits")
    files = run("git", "-C", REPOSITORY, "ls-files").stdout.splitlines()
    assert [name for name in files if name.endswith((".pem", ".key", ".p12", ".csr"))] == []


class TestContainer:
    """There may be no container engine here: its steps are run as they are."""

    def test_what_it_copies_is_there(self):
        for line in (REPOSITORY / "Dockerfile").read_text().splitlines():
            if line.startswith("COPY ") and "--from" not in line:
                for source in line.split()[1:-1]:
                    assert list(REPOSITORY.glob(source)), source

    def test_its_packages_script_is_the_one_that_is_tested(self):
        text = (REPOSITORY / "Dockerfile").read_text()
        assert "RUN scripts/install-packages build\n" in text
        assert "RUN scripts/build-static /sluice\n" in text

    def test_probe_of_a_live_edge(self, enter):
        backend = enter(ScriptedBackend())
        edge = enter(Edge(configuration(backend.url)))
        assert run(SCRIPTS / "probe", "127.0.0.1", edge.port).returncode == 0
        edge.wait_for("request", status=426)

    def test_probe_of_an_edge_that_is_full(self, enter):
        backend = enter(ScriptedBackend())
        edge = enter(Edge(configuration(backend.url, limits={"connections": 1})))
        with tunnel(edge.address):
            assert run(SCRIPTS / "probe", "127.0.0.1", edge.port).returncode != 0

    def test_probe_of_nothing(self, enter):
        deaf = enter(ScriptedBackend(lambda wire: wire.read_to_end()))
        port = deaf.address.rpartition(":")[2]
        assert run(SCRIPTS / "probe", "127.0.0.1", port, timeout=10).returncode != 0
        connect(deaf.address).close()
        assert run(SCRIPTS / "probe", "127.0.0.1", 1, timeout=10).returncode != 0

    @pytest.mark.skipif(
        not os.environ.get("SLUICE_TEST_STATIC"),
        reason="takes minutes: set SLUICE_TEST_STATIC=1",
    )
    @pytest.mark.timeout(3_600)
    def test_the_static_build(self, tmp_path, monkeypatch):
        output = tmp_path / "sluice"
        made = run(SCRIPTS / "build-static", output, timeout=3_600)
        assert made.returncode == 0, made.stdout + made.stderr
        libraries = run("ldd", output).stdout
        assert not re.search(r"libswift|libFoundation|not found", libraries), libraries
        assert re.search(r"\d+\.\d+\.\d+", run(output, "version").stdout)
        monkeypatch.setenv("SLUICE", str(output))
        with ScriptedBackend() as backend, Edge(configuration(backend.url)) as edge:
            with tunnel(edge.address) as wire:
                assert wire.echoes()
