"""A language model as judge: each distinct pair asked once, kept on disk, its failures counted and its cost shown.

A pair is asked through `Endpoint`, which bounds concurrency, time and money and retries what may pass. What comes here
is a reply or a reason why there is none; a reply without a verdict is asked again. Only verdicts are kept: a failure is
None, listed with its reason, and asked again next time.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from medvidbench_hf.endpoint import AskFailed, BudgetSpent, Endpoint, ReplyCache, Usage, estimated_tokens
from medvidbench_hf.judge.guard import has_word, is_cut, minimum, neutral, plain
from medvidbench_hf.judge.pairs import DIMENSIONS, HIGHEST, LOWEST, Judgement, Pair, Preview, Verdicts, checked
from medvidbench_hf.judge.rubric import TEMPERATURE, Rubric, Verdict
from medvidbench_hf.judge.rubric import rubric as named_rubric
from medvidbench_hf.sample import InputError

NO_REFERENCE = "the reference is empty: nothing to compare with"
FEWEST_FAILED = 3  # pairs; fewer may fail without anything being wrong but with them
RECENT = 10  # times min_calls: over how many pairs the share of failures is taken
REPLY_KEPT_CHARS = 4_000

# What a verdict takes, for the preview.
_LINES_TOKENS, _SCORES_TOKENS, _REASONS_TOKENS = 25, 45, 250


class JudgeStopped(RuntimeError):
    """Too many judgements failed. What was judged until then is in the cache."""


class _Answer(NamedTuple):
    """What asking about one pair came to: a verdict, or the reason why there is none."""

    verdict: Verdict | None
    reason: str
    usage: Usage


@dataclass(eq=False, slots=True)
class _Asked:
    """A question that is with the model, and how many calls of `ajudge` wait for it."""

    task: asyncio.Task[_Answer]
    waiting: int = 0


@dataclass(eq=False, slots=True)
class _Group:
    """Pairs that ask the same: their positions, and what became of them. key: in the cache; empty without a call.
    cut: how many of them are longer than what is judged.
    """

    pair: Pair
    key: dict[str, Any]
    positions: list[int]
    cut: int
    judgement: Judgement | None = None
    failure: str = ""
    called: bool = False
    usage: Usage = field(default_factory=Usage)

    @property
    def by(self) -> str:
        return self.judgement.by if self.judgement else ""


class LLMJudge:
    """Judges pairs by asking a model.

    rubric            what is asked: rubric("board"), which is the default, or rubric("comparative")
    cache             verdicts on disk, by server, model, rubric, temperature and both texts; None keeps nothing. What
                      a server puts behind a model's name may change: then take another file.
    reasons           a sentence a dimension (comparative only)
    max_failed_share  the run stops above this share of failed pairs among the latest 10 x min_calls, once min_calls
                      were asked, and at its end where all of 3 or more pairs failed; 1 never stops
    asks              at one pair, while replies hold no verdict

    Raises InputError for settings that cannot work.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        rubric: Rubric | None = None,
        *,
        cache: ReplyCache | None = None,
        reasons: bool = False,
        max_failed_share: float = 0.1,
        min_calls: int = 20,
        asks: int = 3,
    ) -> None:
        rubric = rubric or named_rubric("board")
        if reasons and rubric.name == "board":
            raise InputError("reasons: the board's rubric asks for scores only; take rubric('comparative')")
        if not 0 <= max_failed_share <= 1:
            raise InputError(f"max_failed_share: {max_failed_share!r}, expected 0..1")
        for name, value in (("min_calls", min_calls), ("asks", asks)):
            if type(value) is not int or value < 1:
                raise InputError(f"{name}: {value!r}, expected 1 or more")
        self.endpoint, self.rubric, self.cache, self.reasons = endpoint, rubric, cache, reasons
        self.max_failed_share, self.min_calls, self.asks = max_failed_share, min_calls, asks
        self._temperature = self._known_temperature()
        self._recent: deque[str] = deque(maxlen=RECENT * min_calls)  # reason of each failure, "" for a verdict
        self._in_flight: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Asked]] = WeakKeyDictionary()

    @property
    def name(self) -> str:
        return self.endpoint.model

    def __repr__(self) -> str:
        return f"LLMJudge({self.name!r}, {str(self.rubric)!r})"

    def preview(self, pairs: Sequence[Pair]) -> Preview:
        """What `judge` would ask and about what it would cost, without asking. Raises InputError."""
        groups = list(self._groups(_distinct(pairs)))
        todo = [group.pair for group in groups if group.key and not group.judgement]
        schema = self.rubric.schema(self.reasons)
        each = _REASONS_TOKENS if self.reasons else _SCORES_TOKENS if schema else _LINES_TOKENS
        usage = Usage(
            calls=len(todo),
            input_tokens=sum(estimated_tokens(self.rubric.messages(pair, self.reasons), schema) for pair in todo),
            output_tokens=each * len(todo),
        )
        by = Counter(group.by for group in groups)
        return Preview(
            pairs=len(pairs),
            distinct=len(groups),
            guarded=by["guard"],
            cached=by["cache"],
            calls=usage.calls,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            usd=usage.usd(self.endpoint.price),
        )

    def judge(self, pairs: Sequence[Pair], progress: bool = False) -> Verdicts:
        """`ajudge` from code that is not async. Raises RuntimeError where an event loop runs already."""
        if _loop_runs():
            raise RuntimeError("an event loop runs here (a notebook, async code): write `await judge.ajudge(pairs)`")
        return asyncio.run(self.ajudge(pairs, progress))

    async def ajudge(self, pairs: Sequence[Pair], progress: bool = False) -> Verdicts:
        """Judge every pair. Pairs that ask the same are asked once, also across calls in flight on one event loop.

        progress: a bar with the cost, on stderr. Raises InputError for broken pairs or a broken cache, JudgeStopped
        and BudgetSpent; what was judged until then is in the cache.
        """
        groups = await self._settle_all(pairs, progress)
        judgements: list[Judgement | None] = [None] * len(pairs)
        failures: dict[int, str] = {}
        for group in groups:
            for k in group.positions:
                judgements[k] = group.judgement
                if group.judgement is None:
                    failures[k] = group.failure
        usage, by = sum((group.usage for group in groups), Usage()), Counter(group.by for group in groups)
        return Verdicts(
            judge=self.name,
            rubric=str(self.rubric),
            judgements=tuple(judgements),
            failures=tuple(sorted(failures.items())),
            calls=sum(group.called for group in groups),
            cached=by["cache"],
            guarded=by["guard"],
            distinct=len(groups),
            usage=usage,
            usd=usage.usd(self.endpoint.price),
            cut=sum(group.cut for group in groups),
        )

    def _groups(self, distinct: Mapping[Pair, list[int]]) -> Iterator[_Group]:
        """The pairs with what guard and cache say to each, looked up as they are taken."""
        asking: dict[str, _Group] = {}
        for pair, places in distinct.items():
            cut = len(places) if is_cut(pair.reference) or is_cut(pair.candidate) else 0
            if not has_word(pair.reference):
                yield _Group(pair, {}, places, cut, failure=NO_REFERENCE)
            elif why := minimum(pair):
                lowest = Judgement((LOWEST,) * len(DIMENSIONS), "guard", evidence={"why": why})
                yield _Group(pair, {}, places, cut, lowest)
            else:
                key = self._key(pair)
                if before := asking.get(key["messages"]):  # another pair, but the model is shown the same
                    before.positions += places
                    before.cut += cut
                    continue
                verdict = _kept(self.cache.get(key)) if self.cache is not None else None
                group = _Group(pair, key, places, cut, verdict and Judgement(verdict.scores, "cache", verdict.reasons))
                asking[key["messages"]] = group
                yield group

    def _key(self, pair: Pair) -> dict[str, Any]:
        """All that a reply depends on. messages: sha256 of what is sent; the texts are there to be read by people."""
        sent = json.dumps([self.rubric.messages(pair, self.reasons), self.rubric.schema(self.reasons)])
        return {
            "server": self.endpoint.base_url,
            "model": self.name,
            "temperature": self._temperature,
            "rubric": self.rubric.name,
            "domain": self.rubric.domain,
            "version": self.rubric.version,
            "sha256": self.rubric.sha256,
            "reasons": self.reasons,
            "reference": neutral(plain(pair.reference)),
            "candidate": neutral(plain(pair.candidate)),
            "messages": hashlib.sha256(sent.encode()).hexdigest(),
        }

    def _known_temperature(self) -> float | None:
        """None, the server's default, where a run that the cache knows of found that the model refuses ours."""
        if self.cache is None or not self.cache.get(self._refusal):
            return TEMPERATURE
        warnings.warn(
            f"{self.name} is known to refuse temperature {TEMPERATURE:g}: judgements may vary from call to call",
            stacklevel=3,
        )
        return None

    @property
    def _refusal(self) -> dict[str, Any]:
        """The cache's key for the news that the model refuses our temperature."""
        return {"server": self.endpoint.base_url, "model": self.name, "refuses": "temperature"}

    async def _keep(self, key: Mapping[str, Any], value: Any) -> None:
        """In a thread, since another program may hold the file for seconds; to its end, since it is paid for."""
        if self.cache is None:
            return
        writing = asyncio.create_task(asyncio.to_thread(self.cache.put, key, value))
        try:
            await asyncio.shield(writing)
        finally:
            await asyncio.wait({writing})

    async def _settle_all(self, pairs: Sequence[Pair], progress: bool) -> list[_Group]:
        """Every group with its judgement or failure: looked up and asked one by one, by as many workers as the endpoint
        takes calls at a time.
        """
        distinct = _distinct(pairs)
        queue, groups, spent = self._groups(distinct), [], Usage()

        async def work() -> None:
            nonlocal spent
            for group in queue:
                groups.append(group)
                if group.key and not group.judgement:
                    await self._ask_about(group)
                    spent += group.usage
                elif len(groups) % 100 == 0:
                    await asyncio.sleep(0)  # whatever else runs on this loop goes on
                advance(self._cost(spent))
                if group.key and group.failure:
                    self._stop_if_failing(groups, self._cost(spent))

        with _bar(progress, f"judging with {self.name}", len(distinct)) as advance:
            workers = [asyncio.create_task(work()) for _ in range(min(self.endpoint.concurrency, len(distinct)))]
            try:
                await asyncio.gather(*workers)
            except BudgetSpent:
                await asyncio.gather(*workers, return_exceptions=True)  # what is in flight is paid for
                raise
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        self._stop_if_all_failed(groups, self._cost(spent))
        return groups

    async def _ask_about(self, group: _Group) -> None:
        """Get the group's answer: by asking, or from a call that asks the same just now."""
        asked_here = self._in_flight.setdefault(asyncio.get_running_loop(), {})
        name = group.key["messages"]
        asked = asked_here.get(name)
        group.called = asked is None
        if asked is None:
            asked = asked_here[name] = _Asked(asyncio.create_task(self._ask(group.pair, group.key)))
        asked.waiting += 1
        try:
            answer = await asyncio.shield(asked.task)
        finally:
            asked.waiting -= 1
            if not asked.waiting:  # answered, or given up by all: one call that is cancelled hurts no other
                asked_here.pop(name, None)
                if not asked.task.done():
                    asked.task.cancel()
                    await asyncio.wait({asked.task})
        if group.called:
            group.usage = answer.usage
        if answer.verdict:
            by = "model" if group.called else "cache"
            group.judgement = Judgement(answer.verdict.scores, by, answer.verdict.reasons)
        else:
            group.failure = answer.reason

    async def _ask(self, pair: Pair, key: Mapping[str, Any]) -> _Answer:
        messages, schema = self.rubric.messages(pair, self.reasons), self.rubric.schema(self.reasons)
        usage, verdict, reason = Usage(), None, ""
        for _ in range(self.asks):
            temperature = self._temperature
            try:
                reply = await self.endpoint.ask(messages, schema=schema, schema_name="verdict", temperature=temperature)
            except AskFailed as error:
                usage, reason = usage + error.usage, str(error)
                break
            if "temperature" in reply.without:
                temperature = None
                if self._temperature is not None:
                    self._temperature = None
                    await self._keep(self._refusal, True)
            usage += reply.usage
            verdict = self.rubric.read(reply.text)
            if verdict:
                kept = {
                    "scores": verdict.scores,
                    "reasons": dict(verdict.reasons),
                    "reply": reply.text[-REPLY_KEPT_CHARS:],
                }
                await self._keep({**key, "temperature": temperature}, kept)
                break
            reason = (
                f"no verdict in its reply, asked {usage.calls}x; the last ({reply.finish_reason}) is {reply.text!a:.60}"
            )
        self._recent.append("" if verdict else reason)
        return _Answer(verdict, reason, usage)

    def _stop_if_failing(self, groups: Sequence[_Group], cost: str) -> None:
        failed = [reason for reason in self._recent if reason]
        n, asked = len(failed), len(self._recent)
        if asked < self.min_calls or n <= self.max_failed_share * asked:
            return
        self._recent.clear()  # whoever mends the cause may go on with this judge
        done = sum(group.by == "model" for group in groups)
        kept = "are in the cache" if self.cache is not None else "are lost, since there is no cache"
        reason, times = _commonest(failed)
        raise JudgeStopped(
            f"{self.name} failed on {n} of the last {asked} pairs it was asked about, {times} times with: {reason}. "
            f"Stopped after {cost}, calls under way apart; {done:,} finished judgements of this run {kept}"
        )

    def _stop_if_all_failed(self, groups: Sequence[_Group], cost: str) -> None:
        """At the end of a run too short for a share. Not where some are known: the others may be such that no model
        judges them, and no run with them would ever end.
        """
        asked = [group for group in groups if group.key]
        if len(asked) < FEWEST_FAILED or any(group.judgement for group in asked) or self.max_failed_share == 1:
            return
        self._recent.clear()
        reason, times = _commonest([group.failure for group in asked])
        raise JudgeStopped(
            f"{self.name} failed on all {len(asked)} pairs it was asked about, {times} times with: {reason}. "
            f"This took {cost}"
        )

    def _cost(self, usage: Usage) -> str:
        """Dollars, or tokens where there is no price."""
        usd = usage.usd(self.endpoint.price)
        return f"{usage.tokens.total:,} tokens" if usd is None else f"${usd:,.2f}"


def _commonest(reasons: Sequence[str]) -> tuple[str, int]:
    """The kind of reason that is most frequent, as the first of it reads, and how often it is."""
    [(kind, times)] = Counter(reason.partition("; ")[0] for reason in reasons).most_common(1)
    return next(reason for reason in reasons if reason.partition("; ")[0] == kind), times


def _distinct(pairs: Sequence[Pair]) -> dict[Pair, list[int]]:
    """Each pair once, with its positions. Raises InputError for a broken one."""
    positions: dict[Pair, list[int]] = {}
    for k, pair in enumerate(checked(pairs)):
        positions.setdefault(pair, []).append(k)
    return positions


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _kept(value: Any) -> Verdict | None:
    """The verdict in a cached value; None for anything else, which is asked again."""
    if not isinstance(value, dict):
        return None
    scores, reasons = value.get("scores"), value.get("reasons")
    if not isinstance(scores, list) or len(scores) != len(DIMENSIONS) or not isinstance(reasons, dict):
        return None
    if not all(type(score) is int and LOWEST <= score <= HIGHEST for score in scores):
        return None
    return Verdict(tuple(scores), reasons)


@contextmanager
def _bar(progress: bool, what: str, total: int) -> Iterator[Callable[[str], None]]:
    """A function to be called once for each pair that is settled, with the cost so far."""
    if not progress:
        yield lambda cost: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    name, cost = (TextColumn(field, markup=False) for field in ("{task.description}", "{task.fields[cost]}"))
    columns = (name, BarColumn(), MofNCompleteColumn(), cost)
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total, cost="")
        yield lambda cost: bar.update(task, advance=1, cost=cost)
