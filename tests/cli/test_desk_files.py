"""Files that leave a desk: the policy that a build asks, and the log that other desks import as a stranger's."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from desk_kit import SHOP, audited, decide, folder_of, gate, refused, said

from dife_scanner.app import desk_log, files, policy, signing
from dife_scanner.app.gate import Terms, ask_policy, exit_code
from dife_scanner.durable.clock import later
from dife_scanner.errors import DifeError, NotTrusted, UsageError
from dife_scanner.records import DecisionState, DeploymentDecision, GateAnswer
from dife_scanner.settings import Limits
from dife_scanner.store import decisions, open_store, standings

APPROVED, CONDITIONS, REFUSED, PENDING = DecisionState


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("desk")
    audited(place / "home", folder_of(place / "model"))
    said(place / "home", "deployments", "add", "shop", *SHOP)
    return place


@pytest.fixture
def model(made: Path) -> Path:
    return made / "model"


@pytest.fixture
def desk(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "home", tmp_path / "home"))


@pytest.fixture
def harbour(made: Path, tmp_path: Path) -> Path:
    """Another desk that knows the same shop and has audited the same model."""
    return Path(shutil.copytree(made / "home", tmp_path / "harbour"))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Private and public key, as OpenSSL writes them."""
    place = tmp_path_factory.mktemp("keys")
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (place / "desk.key").write_bytes(secret)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (place / "desk.pub").write_bytes(public)
    return place / "desk.key", place / "desk.pub"


# --- the policy -------------------------------------------------------------------------------------------------


def written(home: Path, path: Path, key: Path | None = None) -> str:
    """A policy of all that counts; gives its digest."""
    with open_store(home) as store:
        return policy.write(policy.made(store, "main"), path, key)


def asked(
    path: Path, target: Path, code: int, digest: str = "", key: Path | None = None, **terms: float
) -> GateAnswer:
    read, proven = policy.read(path, digest, key)
    found = files.lying_here(str(target), Limits())
    answer = ask_policy(read, proven, found, "shop", Terms(**terms))  # type: ignore[arg-type]
    assert exit_code(answer) == code, answer
    return answer


def test_a_build_machine_without_a_home_asks_the_policy(
    desk: Path, model: Path, tmp_path: Path
) -> None:
    decide(desk, model, "approved")
    file, nowhere = tmp_path / "policy.json", tmp_path / "nowhere"
    digest = said(desk, "decisions", "policy", file)["details"]["digest"]
    at_shop = (model, "--deployment", "shop", "--policy", file)
    (answer,) = said(nowhere, "gate", *at_shop, "--digest", digest, code=0)["answers"]
    assert answer["opens"] and answer["policy"] == digest
    assert not nowhere.exists()
    assert "proof" in refused(nowhere, "gate", *at_shop, code=64)
    named = ("gate", "org/clip", *at_shop[1:], "--digest", digest)
    assert "no repositories" in refused(nowhere, *named, code=64)
    other = folder_of(tmp_path / "other", b"other")
    assert "says nothing" in asked(file, other, 2, digest).reason


def test_a_policy_says_of_everything_what_the_store_says(
    desk: Path, model: Path, tmp_path: Path
) -> None:
    file = tmp_path / "policy.json"
    for state, code in (("refused", 1), ("pending", 2), ("approved", 0)):
        decide(desk, model, state, despite_refusal=True)
        assert (
            gate(desk, model, code=code).state
            == asked(file, model, code, written(desk, file)).state
        )
    decide(desk, model, "conditions", conditions="behind a filter", despite_refusal=True)
    digest = written(desk, file)
    assert asked(file, model, 2, digest).conditions == "behind a filter"
    asked(file, model, 0, digest, accept_conditions=True)


def test_a_policy_that_is_not_what_its_digest_says_is_not_asked(
    desk: Path, model: Path, tmp_path: Path
) -> None:
    decide(desk, model, "refused")
    file = tmp_path / "policy.json"
    digest = written(desk, file)
    file.write_text(file.read_text().replace('"refused"', '"approved"'))
    with pytest.raises(NotTrusted, match="has the digest") as error:
        policy.read(file, digest, None)
    assert error.value.exit_code == 3
    with pytest.raises(UsageError, match="no digest"):
        policy.read(file, "md5:0", None)


def test_a_policy_is_signed_by_one_key_and_verified_by_its_other_half_alone(
    desk: Path, model: Path, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    decide(desk, model, "approved")
    file = tmp_path / "policy.json"
    written(desk, file, keys[0])
    assert asked(file, model, 0, key=keys[1]).opens
    strangers = tmp_path / "stranger.pub"
    public = Ed25519PrivateKey.generate().public_key()
    strangers.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    signature = signing.signature_file(file)
    for key, spoil in (
        (strangers, lambda: None),
        (keys[1], lambda: file.write_bytes(file.read_bytes() + b" ")),
        (keys[1], lambda: signature.write_bytes(bytes(64))),
        (keys[1], lambda: signature.write_bytes(b"")),
        (keys[1], signature.unlink),
    ):
        spoil()
        with pytest.raises(NotTrusted):
            policy.read(file, "", key)
    for key in (keys[0], file):
        with pytest.raises(UsageError, match="public key"):
            signing.check(b"", signature, key)
    with pytest.raises(UsageError, match="private key"):
        written(desk, file, keys[1])


def test_writing_anew_without_a_key_leaves_no_old_signature(
    desk: Path, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    file = tmp_path / "policy.json"
    written(desk, file, keys[0])
    assert signing.signature_file(file).exists()
    written(desk, file)
    assert not signing.signature_file(file).exists()


def test_old_policies_and_those_from_the_future_are_stale_and_expiry_is_looked_up_today(
    desk: Path, model: Path, tmp_path: Path
) -> None:
    decide(desk, model, "approved", expires="90d")
    with open_store(desk) as store:
        made = policy.made(store, "main")
    file = tmp_path / "policy.json"
    (entry,) = made.entries
    for changes, days, code, why in (
        ({}, 30.0, 0, ""),
        ({"made_at": later(-40 * 86_400)}, 30.0, 2, "stale"),
        ({"made_at": later(-40 * 86_400)}, 50.0, 0, ""),
        ({"made_at": later(86_400)}, 30.0, 2, "still to come"),
        ({"made_at": "yesterday"}, 30.0, 2, "does not say when"),
        ({"entries": (entry.model_copy(update={"expires": later(-1)}),)}, 30.0, 2, "expired"),
    ):
        digest = policy.write(made.model_copy(update=changes), file, None)
        assert why in asked(file, model, code, digest, most_policy_days=days).reason


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b'{"format": "dife/policy-2"}',
        b'{"format": "dife/policy-1", "desk": "a", "desk": "b"}',
        b'{"a":' * 100_000,
        b'{"format": "dife/policy-1", "desk": "a", "made_at": "", "deployments": [], "entries": [{}]}',
        b'{"format": "dife/policy-1", "desk": "a", "made_at": "", "deployments": [], "entries": NaN}',
    ],
)
def test_what_is_no_policy_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "policy.json"
    file.write_bytes(content)
    with pytest.raises(NotTrusted, match="no policy"):
        policy.read(file, policy._digest(content), None)


# --- the log ----------------------------------------------------------------------------------------------------


def exported(home: Path, path: Path, name: str = "harbour") -> list[str]:
    with open_store(home) as store:
        desk_log.write(store, name, path, None)
    return path.read_text().splitlines()


def imported(home: Path, path: Path) -> desk_log.Imported:
    with open_store(home) as store:
        return desk_log.take(store, path, "main", None)


def test_a_log_goes_from_desk_to_desk_once_and_names_where_it_is_from(
    desk: Path, harbour: Path, model: Path, tmp_path: Path
) -> None:
    decide(harbour, model, "approved", actor="eve")
    decide(harbour, model, "refused", actor="eve")
    file = tmp_path / "log.jsonl"
    said(harbour, "decisions", "export", file, "--home", harbour)
    first = said(desk, "decisions", "import", file)
    assert (first["events"], first["new"]) == (2, 2)
    (now,) = first["standings"]
    assert now["state"] == "refused" and now["decision"]["desk"] == first["desk"]
    assert said(desk, "decisions", "import", file)["new"] == 0
    assert "eve (desk " in gate(desk, model, code=1).reason
    assert exported(desk, tmp_path / "again.jsonl")[1:] == []  # others' decisions are not passed on


def test_an_approval_from_elsewhere_opens_nothing(
    desk: Path, harbour: Path, model: Path, tmp_path: Path
) -> None:
    decide(harbour, model, "approved")
    exported(harbour, tmp_path / "log.jsonl")
    imported(desk, tmp_path / "log.jsonl")
    assert "only another desk" in gate(desk, model, code=2).reason
    decide(desk, model, "refused")
    gate(desk, model, code=1)
    decide(harbour, model, "approved", reason="looked again")
    exported(harbour, tmp_path / "log.jsonl")
    (now,) = imported(desk, tmp_path / "log.jsonl").standings
    assert now.state is REFUSED
    assert [one.desk for one in now.conflicts] == ["harbour"]
    assert "conflict: approved by ada (desk harbour)" in gate(desk, model, code=1).reason


def test_a_refusal_from_elsewhere_shuts_the_gate_until_somebody_here_has_seen_it(
    desk: Path, harbour: Path, model: Path, tmp_path: Path
) -> None:
    decide(desk, model, "approved")
    decide(harbour, model, "refused")
    exported(harbour, tmp_path / "log.jsonl")
    imported(desk, tmp_path / "log.jsonl")
    assert "another desk is stricter" in gate(desk, model, code=2).reason
    with pytest.raises(UsageError, match=r"refused by ada .desk harbour"):
        decide(desk, model, "approved")
    decide(desk, model, "approved", despite_refusal=True)
    gate(desk, model, code=0)


def test_what_comes_back_to_the_desk_that_exported_it_is_no_news(
    desk: Path, model: Path, tmp_path: Path
) -> None:
    decide(desk, model, "approved")
    exported(desk, tmp_path / "log.jsonl", "main")
    assert imported(desk, tmp_path / "log.jsonl").new == 0


def test_a_file_that_calls_itself_as_this_desk_does_is_imported_as_imported(
    desk: Path, harbour: Path, model: Path, tmp_path: Path
) -> None:
    decide(harbour, model, "approved")
    exported(harbour, tmp_path / "log.jsonl", "main")
    assert imported(desk, tmp_path / "log.jsonl").desk == "imported main"
    gate(desk, model, code=2)


def one_event(**changes: object) -> DeploymentDecision:
    made = DeploymentDecision(
        id="",
        artefact="art1:" + "a" * 64,
        deployment="shop",
        profile="b" * 64,
        state=APPROVED,
        reason="looked at",
        owner="eve",
        actor="eve",
        at="2026-11-01T00:00:00.000000+00:00",
        model="org/clip@aaaaaaaaaaaa",
    )
    made = replace(made, **changes)  # type: ignore[arg-type]
    return replace(made, id=made.id or standings.decision_id(made))


def log_of(*events: DeploymentDecision, **head: object) -> bytes:
    first = {
        "format": "dife/decision-log-1",
        "desk": "harbour",
        "made_at": "2026-11-01",
        "events": len(events),
        **head,
    }
    lines = [json.dumps(first), *(json.dumps(desk_log._plain(one)) for one in events)]
    return "\n".join(lines).encode()


GOOD = one_event()
HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "no head": b"\n" + log_of(GOOD),
    "another format": log_of(GOOD, format="dife/decision-log-2"),
    "a desk with a path": log_of(GOOD, desk="../../etc"),
    "a desk that colours": log_of(GOOD, desk="\x1b[31m"),
    "a number that is too small": log_of(GOOD, events=0),
    "cut off": log_of(GOOD, events=2),
    "another id": log_of(one_event(id="c" * 64)),
    "no artefact": log_of(one_event(artefact="art1:x")),
    "a deployment with a path": log_of(one_event(deployment="../shop")),
    "a reason that turns text round": log_of(one_event(reason="ok \u202edetcejer")),
    "a reason over lines": log_of(one_event(reason="a\nb")),
    "a reason that colours": log_of(one_event(reason="\x1b[2J")),
    "a lone surrogate": log_of(one_event(reason="\ud800")),
    "a long reason": log_of(one_event(reason="x" * 2001)),
    "a long line": log_of(GOOD) + b" " * 70_000,
    "no reason": log_of(one_event(reason="")),
    "a long actor": log_of(one_event(actor="x" * 101)),
    "the future": log_of(one_event(at=later(86_400))),
    "another zone": log_of(one_event(at="2026-11-01T00:00:00.000000+01:00")),
    "no moment": log_of(one_event(at="then")),
    "no expiry": log_of(one_event(expires="never")),
    "conditions of an approval": log_of(one_event(conditions="x")),
    "no conditions": log_of(one_event(state=CONDITIONS)),
    "a field too many": log_of(GOOD).replace(b'"owner"', b'"desk": "", "owner"'),
    "two values": log_of(GOOD).replace(b'"owner"', b'"actor": "bob", "owner"'),
    "a state that is none": log_of(GOOD).replace(b"approved", b"blessed"),
    "not JSON": log_of(GOOD) + b"\n{",
    "nested": log_of(GOOD, events=2) + b'\n{"a":' + b"[" * 60_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_one_wrong_line_refuses_the_whole_file(home: Path, tmp_path: Path, name: str) -> None:
    file = tmp_path / "log.jsonl"
    file.write_bytes(HOSTILE[name])
    with open_store(home) as store:
        with pytest.raises(DifeError) as error:
            desk_log.take(store, file, "main", None)
        assert "line" in error.value.what and error.value.what.isprintable()
        assert decisions.log(store) == []


def test_the_file_those_were_made_from_is_taken(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_bytes(log_of(GOOD))
    assert imported(home, file).new == 1
    with open_store(home) as store:
        assert decisions.log(store, filter="desk:harbour") == [replace(GOOD, desk="harbour")]


def test_a_signed_log_is_taken_with_its_key_only(
    harbour: Path, desk: Path, model: Path, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    decide(harbour, model, "refused")
    file = tmp_path / "log.jsonl"
    with open_store(harbour) as store:
        desk_log.write(store, "harbour", file, keys[0])
    with open_store(desk) as store:
        assert desk_log.take(store, file, "main", keys[1]).new == 1
        file.write_bytes(file.read_bytes() + b"\n")
        with pytest.raises(NotTrusted):
            desk_log.take(store, file, "main", keys[1])
    with open_store(harbour) as store:
        desk_log.write(store, "harbour", file, None)
    assert not signing.signature_file(file).exists(), "the old one is of another file"
