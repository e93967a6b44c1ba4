"""Every mistake in the file is exactly one line: file, line, service, key, what, and the remedy."""

from __future__ import annotations

import textwrap

import pytest

from mcgitops.errors import ProjectError, UsageError
from tests.unit.project.conftest import Load

STAGE = """\
services:
  train:
    image: busybox
    volumes: ["./out:/app/out", "./data:/app/data:ro"]
    x-mcgitops:
"""


def stage(keys: str) -> str:
    """A project whose stage holds `keys`, from line 6 on."""
    return STAGE + textwrap.indent(textwrap.dedent(keys).strip("\n"), "      ") + "\n"


def top(keys: str) -> str:
    """A sound stage, and a top-level block with `keys`, from line 8 on."""
    block = textwrap.indent(textwrap.dedent(keys).strip("\n"), "  ")
    return stage("metrics: [out/m.json]") + "x-mcgitops:\n" + block + "\n"


def hook(text: str) -> str:
    """An environment that runs one of two services, with hooks in line 15."""
    services = "services:\n  api: {image: b}\n  other: {image: b}\n"
    keys = f"environments:\n  p:\n    {HOST}\n    services: [api]\n    hooks:\n      {text}\n"
    return top(keys).replace("services:\n", services, 1)


def proxy(keys: str, others: str = "  api: {image: b}\n") -> str:
    """A proxy whose x-mcgitops holds `keys`, in line 5 and on."""
    return f"services:\n{others}  web:\n    image: b\n    x-mcgitops: {{{keys}}}\n"


OUT = "metrics: [out/m.json]\n"
HOST = "hosts: ['ssh://deploy@a']"
T = "compose.yml:{}: service train: "
P = "compose.yml:{}: x-mcgitops."
S = "compose.yml:5: service web: "

# name of the case: (the file, the one line that is said)
MISTAKES: dict[str, tuple[str, str]] = {
    # keys
    "misspelt key": (
        stage("metric: [out/m.json]"),
        T.format(6) + "x-mcgitops.metric: no such key. Did you mean metrics?",
    ),
    "unknown key": (
        stage(OUT + "colour: red"),
        T.format(7)
        + "x-mcgitops.colour: no such key. Remove it: mcgitops schema lists the keys.",
    ),
    "misspelt x-mcgitops of a service": (
        "services:\n  train:\n    image: b\n    x-mcgitop: {metrics: [m.json]}\n",
        T.format(4) + "x-mcgitop: no such key. Did you mean x-mcgitops?",
    ),
    "misspelt x-mcgitops of the project": (
        stage(OUT) + "x-McGitOps: {store: a}\n",
        "compose.yml:7: x-McGitOps: no such key. Did you mean x-mcgitops?",
    ),
    "misspelt gate": (
        top("metrics: {accuracy: {gate: {maxdrop: 1}}}"),
        P.format(8) + "metrics.accuracy.gate.maxdrop: no such key. Did you mean max_drop?",
    ),
    "misspelt environments": (
        top("environment: {p: {hosts: ['ssh://a']}}"),
        P.format(8) + "environment: no such key. Did you mean environments?",
    ),
    "misspelt trigger": (
        top(f"environments: {{p: {{{HOST}, trigger: {{tags: 'v*'}}}}}}"),
        P.format(8) + "environments.p.trigger.tags: no such key. Did you mean tag?",
    ),
    # shapes
    "a stage that is text": (
        "services:\n  train:\n    image: b\n    x-mcgitops: yes\n",
        T.format(4) + "x-mcgitops: 'yes' is not a mapping of keys. Write a mapping of keys.",
    ),
    "a stage that produces nothing": (
        "services:\n  train:\n    image: b\n    x-mcgitops:\n",
        T.format(4) + "x-mcgitops: names neither metrics nor outputs. "
        "Add what the stage writes, or remove the key.",
    ),
    "a project block that is a list": (
        stage(OUT) + "x-mcgitops: [a]\n",
        "compose.yml:7: x-mcgitops: ['a'] is not a mapping of keys. Write a mapping of keys.",
    ),
    "metrics that are text": (
        stage("metrics: out/m.json"),
        T.format(6) + "x-mcgitops.metrics: 'out/m.json' is not a list. "
        "Write a list, such as ['out/m.json'].",
    ),
    "a path that is a number": (
        stage("metrics: [3]"),
        T.format(6) + 'x-mcgitops.metrics: 3 is not text. Write "3".',
    ),
    "a duration that is a number": (
        stage(OUT + "timeout: 90"),
        T.format(7) + "x-mcgitops.timeout: 90 is not text. Write 90s, or 90m.",
    ),
    "a duration that is none": (
        stage(OUT + "timeout: soon"),
        T.format(7) + "x-mcgitops.timeout: 'soon' is not a duration. Write 90s, 15m or 1h30m.",
    ),
    # paths
    "metrics that no volume covers": (
        stage("metrics: [results/m.json]"),
        T.format(6) + "metrics: results/m.json is in no folder that the service can write. "
        "Add a volume such as ./results:/app/results, or correct the path.",
    ),
    "metrics in a named volume": (
        "services:\n  train:\n    image: b\n    volumes: ['v:/app/out']\n"
        "    x-mcgitops: {metrics: [out/m.json]}\nvolumes: {v: {}}\n",
        T.format(5) + "metrics: out/m.json is in no folder that the service can write. "
        "Add a volume such as ./out:/app/out, or correct the path.",
    ),
    "metrics in a read-only volume": (
        stage("metrics: [data/m.json]"),
        T.format(6) + "metrics: data/m.json is in ./data, which the service mounts read-only. "
        "Take :ro off that volume, or correct the path.",
    ),
    "an input that no volume covers": (
        stage(OUT + "inputs: [other/x.csv]"),
        T.format(7) + "inputs: other/x.csv is in no folder that the service mounts. "
        "Add a volume, or correct the path.",
    ),
    "a path above the project": (
        stage("metrics: [out/../../m.json]"),
        T.format(6) + "x-mcgitops.metrics: out/../../m.json is outside the project folder. "
        "Write a path inside it.",
    ),
    "an absolute path": (
        stage("metrics: [/app/out/m.json]"),
        T.format(6) + "x-mcgitops.metrics: /app/out/m.json is outside the project folder. "
        "Write a path inside it.",
    ),
    "parameters above the project": (
        stage(OUT + "params: [../p.yaml]"),
        T.format(7)
        + "x-mcgitops.params: ../p.yaml is outside the project folder. Write a path inside it.",
    ),
    "an empty path": (
        stage("metrics: ['']"),
        T.format(6) + "x-mcgitops.metrics: holds an empty path. Remove it.",
    ),
    "our own folder as an output": (
        stage("metrics: [.mcgitops/m.json]"),
        T.format(6) + "metrics: .mcgitops/m.json can't be declared. "
        "Name a file or folder of the stage's own, such as out/model.joblib.",
    ),
    "the whole project as an output": (
        stage("outputs: [.]"),
        T.format(6) + "outputs: . can't be declared. "
        "Name a file or folder of the stage's own, such as out/model.joblib.",
    ),
    "two stages with the same output": (
        stage(OUT)
        + "  zest:\n    image: b\n    volumes: ['./out:/o']\n"
        + "    x-mcgitops: {metrics: [out/m.json]}\n",
        "compose.yml:10: service zest: metrics: out/m.json is declared by train too. "
        "Let each stage write its own files.",
    ),
    "a stage that writes into another's folder": (
        stage(OUT)
        + "  zest:\n    image: b\n    volumes: ['./out:/o']\n"
        + "    x-mcgitops: {outputs: [out]}\n",
        "compose.yml:10: service zest: outputs: out is declared by train too, as out/m.json. "
        "Let each stage write its own files.",
    ),
    # matrix, replicates, select
    "an empty matrix axis": (
        stage(OUT + "matrix: {LR: []}"),
        T.format(7) + "x-mcgitops.matrix: LR has no values. List at least one.",
    ),
    "an axis that is no list": (
        stage(OUT + "matrix: {LR: 0.1}"),
        T.format(7) + "x-mcgitops.matrix.LR: 0.1 is not a list. Write a list, such as [0.1].",
    ),
    "an axis value that is a list": (
        stage(OUT + "matrix: {LR: [[1]]}"),
        T.format(7) + "x-mcgitops.matrix: LR: [1] is not one value. Write text or a number.",
    ),
    "an axis value that is nothing": (
        stage(OUT + "replicates: {SEED: [null]}"),
        T.format(7) + "x-mcgitops.replicates: SEED: None is not one value. Write text or a number.",
    ),
    "an axis that is no variable": (
        stage(OUT + "matrix: {'a-b': [1]}"),
        T.format(7) + "x-mcgitops.matrix: 'a-b' is not a variable's name. "
        "Use letters, digits and _.",
    ),
    "a value twice": (
        stage(OUT + "matrix: {LR: [1, '1']}"),
        T.format(7) + "x-mcgitops.matrix: LR names a value twice. Remove the repetition.",
    ),
    "a variable in matrix and replicates": (
        stage(OUT + "matrix: {A: [1]}\nreplicates: {A: [2]}"),
        T.format(5) + "x-mcgitops: A is in matrix and in replicates. Keep it in one of them.",
    ),
    "select of a variable that isn't varied": (
        stage(OUT + "replicates: {SEED: [0, 1]}\nselect: {SED: 0}"),
        T.format(8) + "select: SED is not varied. Did you mean SEED?",
    ),
    "select of a value that never is": (
        stage(OUT + "replicates: {SEED: [0, 1]}\nselect: {SEED: 7}"),
        T.format(8) + "select: SEED is never 7. Write one of 0, 1.",
    ),
    "select of the best without a direction": (
        stage(OUT + "replicates: {SEED: [0, 1]}\nselect: {best: zap}"),
        T.format(8) + "select: the best zap is unknown: it has no direction. "
        "Add x-mcgitops.metrics.zap.goal: maximize or minimize.",
    ),
    "select that is text": (
        stage(OUT + "replicates: {SEED: [0, 1]}\nselect: best"),
        T.format(8) + "x-mcgitops.select: 'best' selects nothing. "
        "Write {SEED: 0} or {best: METRIC}.",
    ),
    "select of the best of nothing": (
        stage(OUT + "replicates: {SEED: [0, 1]}\nselect: {best: ''}"),
        T.format(8) + "x-mcgitops.select: best names no metric. Write {best: METRIC}.",
    ),
    # store
    "a store of an unknown kind": (
        top("store: ftp://x/y"),
        P.format(8) + 'store: "ftp://x/y": ftp:// is not known. Write s3://… or file://….',
    ),
    "a store without a bucket": (
        top("store: s3:///y"),
        P.format(8) + 'store: "s3:///y" names no bucket. Write s3://bucket/prefix.',
    ),
    "a store that is half a URL": (
        top("store: s3:bucket"),
        P.format(8) + 'store: "s3:bucket" is not a URL. Write s3://….',
    ),
    "an empty store": (
        top("store: ''"),
        P.format(8) + "store: is empty. Write a folder or s3://bucket/prefix.",
    ),
    "a store that is a relative URL": (
        top("store: file://x"),
        P.format(8) + 'store: "file://x" is not absolute. '
        "Write file:///folder, or the folder alone.",
    ),
    # metrics and gates
    "a gate without a bound": (
        top("metrics: {accuracy: {gate: {}}}"),
        P.format(8) + "metrics.accuracy.gate: names no bound. "
        "Give min, max, max_drop, max_drop_percent, non_inferiority or outside_noise.",
    ),
    "a gate below zero": (
        top("metrics: {accuracy: {gate: {max_drop: -1}}}"),
        P.format(8)
        + "metrics.accuracy.gate.max_drop: -1 is less than 0. Write a number from 0 on.",
    ),
    "a gate that is text": (
        top("metrics: {accuracy: {gate: {max_drop: lots}}}"),
        P.format(8)
        + "metrics.accuracy.gate.max_drop: 'lots' is not a number. Write it as 0.005.",
    ),
    "a gate that nothing passes": (
        top("metrics: {accuracy: {gate: {min: 2, max: 1}}}"),
        P.format(8) + "metrics.accuracy.gate: min 2 is greater than max 1.",
    ),
    "an unknown goal": (
        top("metrics: {accuracy: {goal: max}}"),
        P.format(8) + "metrics.accuracy.goal: 'max' is not known. "
        "Write 'maximize', 'minimize' or 'neutral'.",
    ),
    # environments
    "an environment without hosts": (
        top("environments: {production: {trigger: {tag: 'v*'}}}"),
        P.format(8) + "environments.production.hosts: is missing. Add hosts: [ssh://user@host].",
    ),
    "an environment with no host": (
        top("environments: {production: {hosts: []}}"),
        P.format(8)
        + "environments.production.hosts: names no host. Add hosts: [ssh://user@host].",
    ),
    "a host that is no URL": (
        top("environments:\n  production:\n    hosts: [deploy@a]"),
        P.format(10)
        + 'environments.production.hosts: "deploy@a" is not a URL. Write ssh://deploy@a.',
    ),
    "a host that is a number": (
        top("environments: {p: {hosts: [3]}}"),
        P.format(8) + 'environments.p.hosts: 3 is not text. Write "3".',
    ),
    "a host with a wrong port": (
        top("environments: {p: {hosts: ['ssh://a:99999']}}"),
        P.format(8) + 'environments.p.hosts: "ssh://a:99999" has no valid port. '
        "Write ssh://user@host:22.",
    ),
    "a host with a password": (
        top("environments: {p: {hosts: ['ssh://u:geheim@a']}}"),
        P.format(8)
        + "environments.p.hosts: holds a password. Use a key, and write ssh://user@host.",
    ),
    "a host that would be an option of ssh": (
        top("environments: {p: {hosts: ['ssh://-oProxyCommand=x']}}"),
        P.format(8) + 'environments.p.hosts: "ssh://-oProxyCommand=x" names no host. '
        "Write ssh://user@host.",
    ),
    "a trigger with both": (
        top(f"environments: {{p: {{{HOST}, trigger: {{branch: a, tag: b}}}}}}"),
        P.format(8) + "environments.p.trigger: takes exactly one of branch and tag.",
    ),
    "an environment's name": (
        top(f"environments: {{'Prod!': {{{HOST}}}}}"),
        P.format(8) + "environments: 'Prod!' is not a name for an environment. "
        "Use a-z, 0-9, - and _, at most 63.",
    ),
    "a service to deploy that isn't there": (
        top(f"environments: {{p: {{{HOST}, services: [apii]}}}}")
        .replace("services:\n", "services:\n  api: {image: b}\n", 1),
        P.format(9) + "environments.p.services: apii is no service. Did you mean api?",
    ),
    "a stage to deploy": (
        top(f"environments: {{p: {{{HOST}, services: [train]}}}}"),
        P.format(8) + "environments.p.services: train is a stage. "
        "Name services that are not stages.",
    ),
    "a hook in a service that isn't there": (
        hook("before_activate: [{run: migrate, service: apii}]"),
        P.format(15) + "environments.p.hooks.before_activate.service: apii is no service. "
        "Did you mean api?",
    ),
    "a hook in a service that this environment doesn't run": (
        hook("after_activate: [{run: warm, service: other}]"),
        P.format(15) + "environments.p.hooks.after_activate.service: other is not deployed there. "
        "Name a service that is deployed.",
    ),
    "a hook in a stage": (
        hook("after_commit: [{run: a, on: host}, {run: b, service: train}]"),
        P.format(15) + "environments.p.hooks.after_commit.service: train is not deployed there. "
        "Name a service that is deployed.",
    ),
    "a hook in a service of which nothing is there yet": (
        hook("before_prepare: [{run: migrate, service: api}]"),
        P.format(15) + "environments.p.hooks.before_prepare.service: nothing of the release is on "
        "the host yet. Use after_prepare or before_activate, or on: host.",
    ),
    "a hook that says nowhere where": (
        hook("after_commit: [{run: a}]"),
        P.format(15) + "environments.p.hooks.after_commit: names no service. "
        "Add service, or on: host.",
    ),
    "a misspelt moment of a hook": (
        hook("before_activation: [{run: a, on: host}]"),
        P.format(15) + "environments.p.hooks.before_activation: no such key. "
        "Did you mean before_activate?",
    ),
    "a message that nobody wrote": (
        top(f"environments: {{p: {{{HOST}, notify: [{{url_from: U, template: slak}}]}}}}"),
        P.format(8) + "environments.p.notify.template: 'slak' is no template. Did you mean slack?",
    ),
    "a message from elsewhere": (
        top(f"environments: {{p: {{{HOST}, notify: [{{url_from: U, template: ../a.j2}}]}}}}"),
        P.format(8) + "environments.p.notify.template: '../a.j2' is outside the project folder. "
        "Write a path inside it.",
    ),
    "a webhook's address in the file": (
        top(f"environments: {{p: {{{HOST}, notify: [{{url_from: 'https://h/x'}}]}}}}"),
        P.format(8) + "environments.p.notify.url_from: what it holds is not a variable's name. "
        "Name a variable: the value itself is a secret.",
    ),
    # what serves
    "a proxy that switches what isn't there": (
        proxy("proxy: {switches: [apii]}"),
        S + "x-mcgitops.proxy.switches: apii is no service. Did you mean api?",
    ),
    "a proxy that switches itself": (
        proxy("proxy: {switches: [web]}"),
        S + "x-mcgitops.proxy.switches: web can't switch itself. Remove it.",
    ),
    "a proxy without an address": (
        proxy("proxy: {switches: [api], admin: '9999'}"),
        S + 'x-mcgitops.proxy.admin: "9999" is not an address. Write 127.0.0.1:9999.',
    ),
    "a misspelt key of what serves": (
        proxy("smoke: [{port: 80}], inferense: {port: 80}"),
        S + "x-mcgitops.inferense: no such key. Did you mean inference?",
    ),
    "a smoke test of no path": (
        proxy("smoke: [{port: 80, path: predict}]"),
        S + "x-mcgitops.smoke.path: 'predict' is not a path of a URL. "
        "Write it with a / at the beginning.",
    ),
    "a service that is a stage and serves": (
        proxy("smoke: [{port: 80}], metrics: [m.json]"),
        S + "x-mcgitops.metrics: no such key. Remove it: mcgitops schema lists the keys.",
    ),
    "no host at a time": (
        top(f"environments: {{p: {{{HOST}, parallel: 0}}}}"),
        P.format(8) + "environments.p.parallel: 0 hosts at a time is none. "
        "Write 1 or more, or all.",
    ),
    # what only Compose can see
    "services that wait for each other": (
        "services:\n  a: {image: b, depends_on: [b]}\n  b:\n    image: b\n    depends_on: [a]\n",
        "compose.yml:2: service a: depends_on: services wait for each other: a -> b -> a. "
        "Remove one of these depends_on.",
    ),
    "an unknown key of Compose": (
        "services:\n  a:\n    imagee: b\n",
        "compose.yml:3: services.a additional properties 'imagee' not allowed. "
        "Correct the compose file; docker compose config shows the same.",
    ),
    "no YAML at all": (
        "services: [",
        "compose.yml: yaml: line 1: did not find expected node content. "
        "Correct the compose file; docker compose config shows the same.",
    ),
    "a key twice": (
        stage("metrics: [out/m.json]\nmetrics: [out/n.json]"),
        'compose.yml:7: mapping key "metrics" already defined at line 6. '
        "Correct the compose file; docker compose config shows the same.",
    ),
    "a variable that must be set": (
        "services:\n  a:\n    image: ${NOPE_UNSET:?set it}\n",
        "compose.yml: error while interpolating services.a.image: "
        "required variable NOPE_UNSET is missing a value: set it. "
        "Correct the compose file; docker compose config shows the same.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_with_its_remedy(load: Load, case: str) -> None:
    text, expected = MISTAKES[case]
    with pytest.raises(UsageError) as caught:
        load(text)
    assert str(caught.value) == expected
    assert caught.value.exit_code == 2


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(load: Load) -> None:
    text = (
        stage("metrics: [results/m.json]\ntimeout: soon")
        + "  eval:\n    image: b\n    x-mcgitops: {metric: [out/n.json]}\n"
        + "x-mcgitops:\n  store: ftp://x\n  environments: {p: {hosts: [a, b]}}\n"
    )
    with pytest.raises(ProjectError) as caught:
        load(text)
    assert [(p.line, p.service, p.key) for p in caught.value.problems] == [
        (7, "train", "x-mcgitops.timeout"),
        (10, "eval", "x-mcgitops.metric"),
        (12, "", "x-mcgitops.store"),
        (13, "", "x-mcgitops.environments.p.hosts"),
    ]
    assert len(str(caught.value).splitlines()) == 4


def test_a_password_in_a_host_is_never_repeated(load: Load) -> None:
    with pytest.raises(ProjectError) as caught:
        load(MISTAKES["a host with a password"][0])
    assert "geheim" not in str(caught.value)


def test_the_project_block_of_an_included_file_is_refused_where_it_stands(load: Load) -> None:
    with pytest.raises(ProjectError) as caught:
        load(
            {
                "compose.yml": "include: [sub/other.yml]\nservices: {api: {image: b}}\n",
                "sub/other.yml": stage(OUT) + "x-mcgitops: {store: a}\n",
            }
        )
    assert str(caught.value) == (
        "sub/other.yml:7: x-mcgitops: has no effect in an included file. Move it to compose.yml."
    )


def test_a_mistake_in_an_included_file_names_that_file(load: Load) -> None:
    with pytest.raises(ProjectError) as caught:
        load(
            {
                "compose.yml": "include: [sub/other.yml]\nservices: {api: {image: b}}\n",
                "sub/other.yml": stage("metric: [out/m.json]"),
            }
        )
    assert str(caught.value).startswith("sub/other.yml:6: service train: x-mcgitops.metric: ")


def test_a_mistake_in_the_second_file_names_the_second_file(load: Load) -> None:
    with pytest.raises(ProjectError) as caught:
        load(
            {
                "compose.yml": stage(OUT),
                "more.yml": "services:\n  train:\n    x-mcgitops:\n      plot: [out/p.csv]\n",
            },
            "compose.yml",
            "more.yml",
        )
    assert str(caught.value) == (
        "more.yml:4: service train: x-mcgitops.plot: no such key. Did you mean plots?"
    )


def test_an_output_of_an_included_project_outside_the_folder_is_refused(load: Load) -> None:
    with pytest.raises(ProjectError) as caught:
        load(
            {
                "p/compose.yml": "include: [../shared/other.yml]\nservices: {api: {image: b}}\n",
                "shared/other.yml": stage(OUT),
            },
            start="p",
        )
    assert str(caught.value) == (
        "../shared/other.yml:6: service train: metrics: ../shared/out/m.json is outside the "
        "project folder. Write a path inside it."
    )


def test_no_compose_file_is_said_with_what_to_do(load: Load) -> None:
    with pytest.raises(UsageError, match=r"no compose file\. Run mcgitops init"):
        load({"readme.txt": ""})


def test_a_named_file_that_is_not_there_is_said(load: Load) -> None:
    with pytest.raises(UsageError, match=r"x\.yml: no such file\. Name an existing"):
        load({"compose.yml": stage(OUT)}, "x.yml")
