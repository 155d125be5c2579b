from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dife_scanner.errors import BadToken, HubError, HubUnavailable, UsageError
from dife_scanner.hub import SOURCES, Deadline, Hub, PollResult, plan, poll
from dife_scanner.lab.loopback import Announced, LoopbackHub, faults
from dife_scanner.records import ModelRef

AddClip = Callable[..., ModelRef]
Connect = Callable[..., Hub]
CLIP, OPEN_CLIP = "filter=clip", "filter=open_clip"


def ago(**time: float) -> str:
    return (
        (datetime.now(UTC) - timedelta(**time))
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def kept(stamp: str) -> str:
    """As we keep it."""
    return datetime.fromisoformat(stamp).isoformat(timespec="microseconds")


@pytest.fixture
def look(hub: Hub) -> Callable[..., PollResult]:
    def look(**given: Any) -> PollResult:
        return poll(hub, **{"known": {}, "watermarks": {}, "sources": [CLIP], **given})

    return look


def ids(result: PollResult) -> list[str]:
    return [model.repo_id for model in result.models]


def test_the_union_of_filters_names_each_repository_once(
    add_clip: AddClip, lab: LoopbackHub, hub: Hub
) -> None:
    add_clip("org/both", tags=["clip", "open_clip", "arxiv:2103.00020"])
    add_clip("org/by-name-clip", tags=[], library="")
    add_clip("org/derived", tags=["base_model:openai/clip-vit-base-patch32"], library="")
    add_clip("org/zero-shot", tags=[], library="", pipeline_tag="zero-shot-image-classification")
    tower_of = {
        "vision": "clip_vision_model",
        "text": "clip_text_model",
        "dual": "vision-text-dual-encoder",
    }
    for name, tag in tower_of.items():
        add_clip(f"org/{name}", tags=[tag], library="transformers")
    add_clip("org/lora", tags=["base_model:adapter:openai/clip-vit-base-patch32"], library="peft")
    add_clip("org/unrelated", tags=["text-generation"], library="")
    result = poll(hub, known={}, watermarks={})
    assert sorted(ids(result)) == [
        "org/both", "org/by-name-clip", "org/derived", "org/dual", "org/lora", "org/text", "org/vision",
        "org/zero-shot",
    ]  # fmt: skip
    assert (
        result.complete
        and result.seen == 8
        and result.requests == len(SOURCES) == len(lab.requests)
    )


def test_only_commits_not_known_before_are_new(
    add_clip: AddClip, lab: LoopbackHub, look: Callable[..., PollResult]
) -> None:
    same, moved = add_clip("org/same"), add_clip("org/moved")
    known = {ref.repo_id: ref.revision for ref in (same, moved)}
    assert ids(look(known=known)) == []
    sha = lab.commit("org/moved", {"README.md": "# again"})
    result = look(known=known)
    assert [(model.repo_id, model.sha) for model in result.models] == [
        ("org/moved", sha)
    ] and result.seen == 2


def test_a_source_is_read_down_to_its_watermark_less_the_overlap(
    add_clip: AddClip, look: Callable[..., PollResult]
) -> None:
    stamps = {f"org/m{i}": ago(hours=i) for i in range(6)}
    for repo_id, stamp in stamps.items():
        add_clip(repo_id, last_modified=stamp)
    watermark = kept(stamps["org/m3"])
    result = look(watermarks={CLIP: watermark}, overlap_seconds=3600 * 1.5)
    assert ids(result) == [f"org/m{i}" for i in range(5)]
    assert result.watermarks == {CLIP: kept(stamps["org/m0"])}
    assert ids(look(watermarks={CLIP: watermark}, overlap_seconds=0)) == [
        f"org/m{i}" for i in range(4)
    ]


def test_a_first_pass_looks_back_a_stated_time_and_no_further(
    add_clip: AddClip, look: Callable[..., PollResult]
) -> None:
    add_clip("org/old", last_modified=ago(days=40))
    add_clip("org/new", last_modified=ago(days=20))
    assert ids(look()) == ["org/new"]
    assert ids(look(lookback_days=10)) == []
    assert ids(look(lookback_days=None)) == ["org/new", "org/old"]
    assert ids(
        look(since=datetime.now(UTC) - timedelta(days=50), watermarks={CLIP: ago(days=1)})
    ) == [
        "org/new",
        "org/old",
    ]
    with pytest.raises(UsageError):
        look(since=datetime(2026, 1, 1))


def test_malformed_items_are_counted_and_stop_nothing(
    add_clip: AddClip, lab: LoopbackHub, look: Callable[..., PollResult]
) -> None:
    add_clip()
    lab.inject(faults.malformed_items(times=None))
    result = look()
    assert ids(result) == ["org/clip"] and result.complete and result.watermarks
    assert result.malformed == 5 and "1 × id is not a repository id" in result.problems


def test_a_date_from_the_future_hides_nothing_later(
    add_clip: AddClip, look: Callable[..., PollResult]
) -> None:
    add_clip("org/future", last_modified="2999-01-01T00:00:00.000Z")
    add_clip("org/now")
    result = look()
    assert result.watermarks[CLIP] <= kept(ago())
    add_clip("org/later")
    assert "org/later" in ids(look(watermarks=result.watermarks, overlap_seconds=0))


def test_a_model_pushed_while_we_page_is_found_by_the_next_pass(
    add_clip: AddClip,
    lab: LoopbackHub,
    look: Callable[..., PollResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dife_scanner.hub.query.PAGE_SIZE", 2)
    refs = [add_clip(f"org/m{i}", last_modified=ago(hours=i + 1)) for i in range(6)]
    pushed: list[str] = []
    lab.inject(
        faults.meanwhile(
            r"GET /api/models\?", lambda: pushed.append(lab.commit("org/m5", {"a": b"b"}))
        )
    )
    first = look()
    known = {ref.repo_id: ref.revision for ref in refs}
    assert ids(first) == [f"org/m{i}" for i in range(5)]  # m5 jumped ahead of the cursor
    second = look(known=known, watermarks=first.watermarks, overlap_seconds=0)
    assert [model.sha for model in second.models] == pushed


def test_a_source_that_fails_is_named_and_keeps_its_watermark(
    add_clip: AddClip, lab: LoopbackHub, look: Callable[..., PollResult]
) -> None:
    add_clip(tags=["clip", "open_clip"])
    lab.inject(faults.status(r"filter=clip", 504, times=None))
    result = look(sources=[CLIP, OPEN_CLIP])
    assert ids(result) == ["org/clip"] and not result.complete
    assert list(result.watermarks) == [OPEN_CLIP] and "504" in result.problems[0]


def test_a_rate_limit_ends_the_pass_and_says_for_how_long(
    add_clip: AddClip, lab: LoopbackHub, look: Callable[..., PollResult]
) -> None:
    add_clip(tags=["clip", "open_clip"])
    lab.inject(faults.rate_limited(r"filter=open_clip", 280, times=None))
    result = look(sources=[CLIP, OPEN_CLIP, "search=clip"])
    assert ids(result) == ["org/clip"] and not result.complete and result.retry_after == 281
    assert list(result.watermarks) == [CLIP] and not lab.seen("search=clip")


def test_a_pass_cut_by_its_deadline_keeps_what_it_has(
    add_clip: AddClip, lab: LoopbackHub, look: Callable[..., PollResult]
) -> None:
    add_clip(tags=["clip", "open_clip"])
    lab.inject(faults.drip(r"filter=open_clip", piece=1, pause=0.02, times=None))
    result = look(sources=[CLIP, OPEN_CLIP, "search=clip"], deadline=Deadline(0.5))
    assert ids(result) == ["org/clip"] and not result.complete
    assert list(result.watermarks) == [CLIP] and len(result.problems) == 2


def test_a_mirror_whose_links_name_the_official_hub_is_read_to_its_end(
    add_clip: AddClip,
    lab: LoopbackHub,
    look: Callable[..., PollResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dife_scanner.hub.query.PAGE_SIZE", 2)
    for i in range(5):
        add_clip(f"org/clip-{i}")
    lab.inject(faults.mirror_links("https://official.example", times=None))
    result = look()
    assert result.complete and result.seen == 5 and list(result.watermarks) == [CLIP]


def test_a_link_that_leads_nowhere_makes_the_pass_incomplete(
    add_clip: AddClip, lab: LoopbackHub, look: Callable[..., PollResult]
) -> None:
    add_clip()
    lab.inject(faults.link_to("http://evil.example"))
    result = look()
    assert ids(result) == ["org/clip"] and not result.complete and result.watermarks == {}
    assert "Invalid cursor" in result.problems[0]


def test_a_hub_that_never_answers_is_asked_for_one_source_only(
    lab: LoopbackHub, connect: Connect
) -> None:
    lab.inject(faults.hang("GET", times=None))
    hub = connect(request_seconds=0.2)
    with pytest.raises(HubUnavailable, match="gave no answer"):
        poll(hub, known={}, watermarks={})
    assert hub.requests == 3
    lab.close()
    with pytest.raises(HubUnavailable, match="cannot be reached"):
        poll(connect(), known={}, watermarks={})


def test_a_wrong_token_ends_the_pass(
    connect: Connect, look: Callable[..., PollResult], lab: LoopbackHub
) -> None:
    with pytest.raises(BadToken):
        poll(connect("hf_wrong"), known={}, watermarks={})
    lab.inject(faults.body(r"GET /api/models\?", b"{}", times=None))
    with pytest.raises(HubError, match="other than a list"):
        look()


def test_a_source_that_shows_nothing_gets_no_watermark(look: Callable[..., PollResult]) -> None:
    result = look()
    assert result.complete and result.watermarks == {} and result.models == ()


# --- plan -------------------------------------------------------------------------------------------------------


def test_a_plan_says_what_it_would_take_and_fetches_nothing(
    add_clip: AddClip,
    lab: LoopbackHub,
    hub: Hub,
    look: Callable[..., PollResult],
    weights: bytes,
    config: bytes,
) -> None:
    for i in range(3):
        add_clip(f"org/clip{i}")
    add_clip("org/gated", gated="auto")
    lab.add_repo("org/onnx", {"config.json": b"{}", "model.onnx": b"x"}, tags=["clip"])
    result = look()
    lab.requests.clear()
    made = plan(hub, result.models, audit_seconds=60)
    assert (made.models, made.auditable, made.exact) == (5, 3, True)
    assert made.states == {"queued": 3, "gated": 1, "unsupported": 1}
    assert made.bytes == 3 * (len(weights) + len(config))
    assert made.requests == 3 * 2 + 3 * 2
    assert 180 / 3600 < made.hours < 185 / 3600
    assert all("/tree/" in seen.target for seen in lab.requests) and len(lab.requests) == 3
    assert any("60 s per audit" in line for line in made.assumptions)


def test_a_plan_of_many_models_asks_for_a_sample(
    lab: LoopbackHub, hub: Hub, look: Callable[..., PollResult], config: bytes
) -> None:
    for i in range(10):
        files = {
            "open_clip_config.json": config,
            "open_clip_model.safetensors": Announced((i + 1) << 20),
        }
        lab.add_repo(f"org/clip{i}", files, tags=["clip"])
    lab.requests.clear()
    made = plan(hub, look().models, sample=5, bytes_per_second=1 << 20)
    assert len(lab.seen("/tree/")) == 5 and not made.exact and made.auditable == 10
    assert abs(made.bytes - 55 * (1 << 20)) < 6 * (1 << 20)
    assert "sizes of 5 models requested" in made.assumptions[-1]
    assert (
        plan(hub, look(known={model.repo_id: model.sha for model in look().models}).models).bytes
        == 0
    )


def test_a_plan_goes_on_without_a_model_that_has_gone(
    add_clip: AddClip,
    lab: LoopbackHub,
    hub: Hub,
    look: Callable[..., PollResult],
    weights: bytes,
    config: bytes,
) -> None:
    add_clip("org/clip0")
    add_clip("org/clip1")
    result = look()
    lab.remove("org/clip0")
    made = plan(hub, result.models)
    assert not made.exact and made.bytes == 2 * (len(weights) + len(config))
    lab.remove("org/clip1")
    with pytest.raises(HubError):
        plan(hub, result.models)
