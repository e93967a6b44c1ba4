"""What Compose said is only believed while nothing that decides it has changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.facts import resolved
from mcgitops.facts.compose import load_project

COMPOSE = "name: wine\nservices: {api: {image: 'python:${TAG:-3}'}}\n"


@dataclass
class Place:
    """A project folder with programs of its own; counts how often Compose is asked."""

    home: Path
    environ: dict[str, str]
    answer: str = "name: wine\n"
    asked: int = 0
    meanwhile: Callable[[], object] = field(default=lambda: None)

    def look(self, *files: str) -> str:
        def ask() -> Callable[[], str]:
            self.asked += 1
            self.meanwhile()
            return lambda: self.answer

        paths = [self.home / file for file in files or ("compose.yml",)]
        return resolved.resolved(self.home, paths, ask, self.environ)()

    @property
    def kept(self) -> list[Path]:
        return sorted((self.home / ".mcgitops").rglob("compose-*"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    home, bin_, config = tmp_path / "wine", tmp_path / "bin", tmp_path / "home" / ".docker"
    (home / ".mcgitops").mkdir(parents=True)
    bin_.mkdir()
    (config / "cli-plugins").mkdir(parents=True)
    (home / "compose.yml").write_text(COMPOSE)
    for program in (bin_ / "docker", config / "cli-plugins" / "docker-compose"):
        shutil.copy("/bin/true", program)
    return Place(home, {"PATH": str(bin_), "HOME": str(tmp_path / "home"), "PWD": str(home)})


def test_an_unchanged_project_is_asked_for_once(place: Place) -> None:
    assert [place.look() for _ in range(3)] == ["name: wine\n"] * 3
    assert place.asked == 1
    assert [path.stat().st_mode & 0o777 for path in place.kept] == [0o600]


def _edit(place: Place) -> None:
    """The same size, and the times of before."""
    file = place.home / "compose.yml"
    stat = file.stat()
    file.write_text(COMPOSE.replace("python", "pythom"))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _plugin(place: Place) -> Path:
    return Path(place.environ["HOME"], ".docker/cli-plugins/docker-compose")


def _other_plugin(place: Place) -> None:
    folder = place.home / "docker"
    (folder / "cli-plugins").mkdir(parents=True)
    shutil.copy("/bin/true", folder / "cli-plugins" / "docker-compose")
    place.environ["DOCKER_CONFIG"] = str(folder)


def _earlier_docker(place: Place) -> None:
    folder = place.home / "bin"
    folder.mkdir()
    shutil.copy("/bin/true", folder / "docker")
    place.environ["PATH"] = f"{folder}:{place.environ['PATH']}"


CHANGES: dict[str, Callable[[Place], object]] = {
    "a file's text": _edit,
    "a .env that is new": lambda p: (p.home / ".env").write_text("COMPOSE_PROFILES=train\n"),
    "a setting of Compose": lambda p: p.environ.update(COMPOSE_PROJECT_NAME="other"),
    "a setting of Docker": lambda p: p.environ.update(DOCKER_DEFAULT_PLATFORM="linux/arm64"),
    "the home folder": lambda p: p.environ.update(HOME=str(p.home)),
    "the folder as the shell calls it": lambda p: p.environ.update(PWD="/elsewhere"),
    "docker": lambda p: os.utime(Path(p.environ["PATH"], "docker"), ns=(1, 1)),
    "another docker before it": _earlier_docker,
    "the plugin": lambda p: os.utime(_plugin(p), ns=(1, 1)),
    "another plugin": _other_plugin,
    "the settings of docker": lambda p: (_plugin(p).parent.parent / "config.json").write_text("{}"),
    "a variable that the file mentions": lambda p: p.environ.update(TAG="3.12"),
    "the same in .env": lambda p: (p.home / ".env").write_text("export TAG = 3.12\n"),
    "the same as YAML": lambda p: (p.home / ".env").write_text("TAG: 3.12\n"),
    "the same with nothing said": lambda p: (p.home / ".env").write_text("A=1\nTAG\n"),
    "what was kept": lambda p: p.kept[0].write_bytes(p.kept[0].read_bytes() + b"x"),
    "the project's folder": lambda p: (
        p.home.rename(p.home.with_name("moved")) and setattr(p, "home", p.home.with_name("moved"))
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_decides_the_answer_is_noticed(place: Place, change: str) -> None:
    place.look()
    CHANGES[change](place)
    place.answer = "name: other\n"
    assert place.look() == "name: other\n"
    assert place.asked == 2


def test_other_variables_and_files_ask_nobody(place: Place) -> None:
    place.look()
    place.environ.update(SHLVL="2", TAGS="x", GITHUB_STEP_SUMMARY="/tmp/x")
    (place.home / "train.py").write_text("")
    place.look()
    assert place.asked == 1


def test_other_files_have_an_answer_of_their_own(place: Place) -> None:
    (place.home / "b.yml").write_text("services: {}\n")
    place.look()
    place.answer = "name: both\n"
    assert place.look("compose.yml", "b.yml") == "name: both\n"
    assert place.look("compose.yml", "b.yml") == "name: both\n"
    assert place.look() == "name: wine\n"
    assert place.asked == 2
    (place.home / "b.yml").write_text("services: {a: {image: b}}\n")
    place.look("compose.yml", "b.yml")
    assert place.asked == 3


UNUSUAL = {
    "include": "include: [other.yml]\n" + COMPOSE,
    "env_file": "services: {api: {image: a, env_file: .env.api}}\n",
    "env_file in an anchor": "x-a: &a {env_file: secret}\nservices: {api: {<<: *a, image: a}}\n",
    "extends of a file": "services: {api: {extends: {file: o.yml, service: api}}}\n",
    "extends by an anchor": "x-a: &a {file: o.yml}\nservices: {a: {extends: {<<: *a}}}\n",
    "extends as an anchor": "x-a: &a {file: o.yml}\nservices: {a: {extends: *a}}\n",
    "label_file": "services: {api: {image: a, label_file: [labels]}}\n",
    "provider": "services: {api: {provider: {type: cloud}}}\n",
    "develop": "services: {api: {image: a, develop: {watch: [{path: a, action: sync}]}}}\n",
    "an escaped key": 'services: {api: {image: a, "env\\x5ffile": secret}}\n',
    "a tag": "services: {api: {image: !!binary cHl0aG9u}}\n",
    "a tag of Compose": "services: {api: {image: !reset null}}\n",
    "no YAML": "services: {\n",
    "two documents": "services: {}\n---\nservices: {}\n",
    "a variable": "services: {api: {image: 'a:${SECRET}'}}\n",
    "a variable as default of another": "services: {api: {image: 'a:${NO:-${SECRET}}'}}\n",
    "a variable that goes through": "services: {api: {image: a, environment: [SECRET]}}\n",
    "a key that goes through": "services: {api: {image: a, environment: {SECRET: }}}\n",
    "a secret": "secrets: {a: {environment: SECRET}}\n",
    "a config": "configs: {a: {environment: SECRET}}\n",
    "an escaped variable": 'services: {api: {image: "a:${SE\\x43RET}"}}\n',
    "a folded variable": 'services: {api: {environment: ["SEC\\\n   RET"]}}\n',
    "a variable with signs": "services: {api: {environment: [my.very-secret]}}\n",
}


@pytest.mark.parametrize("what", UNUSUAL)
def test_what_reads_more_than_the_files_is_asked_each_time(place: Place, what: str) -> None:
    (place.home / "compose.yml").write_text(UNUSUAL[what])
    place.environ |= {"SECRET": "hunter2", "my.very-secret": "hunter2"}
    place.look()
    place.look()
    assert place.asked == 2
    assert place.kept == []


def _script(place: Place) -> None:
    Path(place.environ["PATH"], "docker").write_text("#!/bin/sh\n")


def _extra(place: Place) -> None:
    (_plugin(place).parent.parent / "config.json").write_text('{"cliPluginsExtraDirs": ["/x"]}')


PROGRAMS: dict[str, Callable[[Place], object]] = {
    "a script": _script,
    "a plugin that is a script": lambda p: _plugin(p).write_text("#!/bin/sh\n"),
    "folders of plugins in the settings": _extra,
    "folders of plugins in the environment": lambda p: p.environ.update(
        DOCKER_CLI_PLUGIN_EXTRA_DIRS="/x"
    ),
    "a path that depends on where one is": lambda p: p.environ.update(PATH=f":{p.environ['PATH']}"),
    "other files like .env": lambda p: p.environ.update(COMPOSE_ENV_FILES="a.env"),
    "other files like .env, named there": lambda p: (p.home / ".env").write_text(
        "COMPOSE_ENV_FILES=a.env\n"
    ),
    "settings that can't be read": lambda p: (_plugin(p).parent.parent / "config.json").mkdir(),
    "no home": lambda p: p.environ.pop("HOME"),
    "no docker": lambda p: p.environ.update(PATH=str(p.home)),
    "a compose file that can't be read": lambda p: (p.home / "compose.yml").unlink(),
    "a compose file that isn't text": lambda p: (p.home / "compose.yml").write_bytes(b"\xff"),
    "a .env that isn't a file": lambda p: (p.home / ".env").mkdir(),
    "no folder of ours": lambda p: (p.home / ".mcgitops").rmdir(),
    "a folder that is a file": lambda p: (p.home / ".mcgitops/cache").write_text(""),
}


@pytest.mark.parametrize("what", PROGRAMS)
def test_what_cannot_be_told_for_certain_is_asked_each_time(place: Place, what: str) -> None:
    PROGRAMS[what](place)
    place.look()
    place.look()
    assert place.asked == 2
    assert place.kept == []


def test_what_changes_while_compose_reads_is_not_kept(place: Place) -> None:
    def edit_and_undo() -> None:
        (place.home / "compose.yml").write_text("services: {}\n")
        (place.home / "compose.yml").unlink()
        (place.home / "compose.yml").write_text(COMPOSE)

    place.meanwhile = edit_and_undo
    place.look()
    assert place.kept == []


def test_a_file_that_came_along_with_the_repository_is_not_ours(place: Place) -> None:
    place.look()
    kept = place.kept[0]
    content = kept.read_bytes()
    kept.unlink()
    (place.home / "other").write_text("")  # so that the inode isn't used again
    kept.write_bytes(content)
    place.answer = "name: other\n"
    assert place.look() == "name: other\n"
    # as an archive brings it, with the times of before
    stat = place.kept[0].stat()
    copy = place.home / "copy"
    shutil.copy2(place.kept[0], copy)
    copy.replace(place.kept[0])
    assert place.kept[0].stat().st_mtime_ns == stat.st_mtime_ns
    place.look()
    assert place.asked == 3


def test_damage_of_any_kind_is_asked_for_anew(place: Place) -> None:
    for content in (b"", b"\n", b"[]\n", b'{"key": 1}\nx', b"\xff\xfe", b"{" * 2000):
        place.look()
        place.kept[0].write_bytes(content)
        place.asked = 0
        assert place.look() == "name: wine\n"
        assert place.asked == 1


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)


@given(
    NAMES, st.sampled_from(["${%s}", "$%s", "x${%s:-y}", "${A:-${%s}}", "%s", "a.%s-b", "é$%sé"])
)
def test_a_variable_that_is_mentioned_in_any_way_is_found(name: str, form: str) -> None:
    text = 'services: {api: {image: "' + form % name + '"}}\n'
    words = resolved.self_contained([text])
    assert words is not None
    assert resolved.mentions([name], words)
    assert resolved.mentions([f"{name}.{name}"], words)
    assert not resolved.mentions([name + "0", "no.such-name"], words - {name + "0", "no"})


def test_the_project_is_the_same_with_and_without_what_was_kept(tmp_path: Path) -> None:
    """With the real Compose."""
    file = tmp_path / "compose.yml"
    text = (
        "services:\n  train:\n    image: a:1\n    volumes: ['./out:/out']\n"
        "    x-mcgitops: {metrics: [out/m.json]}\n"
    )
    file.write_text(text)
    asked = load_project(tmp_path)
    (tmp_path / ".mcgitops").mkdir()
    kept = [load_project(tmp_path) for _ in range(2)]
    assert len(list((tmp_path / ".mcgitops/cache").iterdir())) == 1
    assert [asked, asked] == kept
    file.write_text(text.replace("a:1", "a:2"))
    assert load_project(tmp_path).services["train"].image == "a:2"
