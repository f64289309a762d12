"""Graphs of jobs that are enqueued in one call."""

from __future__ import annotations

from typing import Any

import pytest

from millrace import DependencyCycle, DuplicateJob, Graph, Invalid, JobContext, JobStatus, PartlyRefused, UnknownParent
from millrace.testing.contracts.bench import Bench, claim, enqueued_since, head


class GraphsContract:
    async def test_a_graph_fans_out_and_in_and_its_results_are_passed_on(self, bench: Bench) -> None:
        @bench.app.job
        async def load() -> list[int]:
            return [1, 2, 3]

        @bench.app.job
        async def double(job: JobContext, nth: int) -> int:
            return 2 * int(job.parents[0].result[nth])

        @bench.app.job
        async def total(job: JobContext) -> int:
            return sum(parent.result for parent in job.parents)

        graph = Graph()
        loaded = graph.add("load")
        doubled = [graph.add("double", {"nth": n}, after=loaded) for n in range(3)]
        graph.add("total", after=doubled, ref="sum")
        jobs = await bench.app.jobs.enqueue_graph(graph)
        assert [job.name for job in jobs] == ["load", "double", "double", "double", "total"]
        ended = await bench.run(*jobs)
        assert ended[-1].result == 12
        links = (await bench.app.jobs.graph(jobs[0].id)).links
        assert {(link.parent, link.child) for link in links} == {
            *((jobs[0].id, job.id) for job in jobs[1:4]),
            *((job.id, jobs[4].id) for job in jobs[1:4]),
        }

    async def test_children_may_stand_before_their_parents_and_name_other_jobs_too(self, bench: Bench) -> None:
        other = await bench.app.jobs.enqueue("other")
        child, parent = await bench.app.jobs.enqueue_graph(
            [{"name": "child", "after": ["#first", other.id]}, {"name": "parent", "ref": "first"}]
        )
        assert (child.name, child.status, parent.status) == ("child", JobStatus.DELAYED, JobStatus.PENDING)
        links = (await bench.app.jobs.graph(child.id, limit=9)).links
        assert {(link.parent, link.child) for link in links} == {(parent.id, child.id), (other.id, child.id)}

    @pytest.mark.parametrize(
        ("after", "cycle"),
        [
            ({"a": "#c", "b": "#a", "c": ["#b"]}, {"#a", "#b", "#c"}),
            ({"a": [], "b": ["#b", "#a"]}, {"#b"}),
        ],
    )
    async def test_a_circle_is_refused_by_name_and_nothing_is_enqueued(
        self, bench: Bench, after: dict[str, Any], cycle: set[str]
    ) -> None:
        before = await head(bench.app)
        items = [{"name": "n", "ref": ref, "after": parents} for ref, parents in after.items()]
        with pytest.raises(DependencyCycle) as refused:
            await bench.app.jobs.enqueue_graph([*items, {"name": "innocent"}])
        names = refused.value.cycle
        assert names[0] == names[-1]
        assert set(names) == cycle
        assert " -> ".join(names) in str(refused.value)
        assert await enqueued_since(bench.app, before) == []

    @pytest.mark.parametrize("ref", ["#7", "#nobody"])
    async def test_an_unknown_sibling_is_refused(self, bench: Bench, ref: str) -> None:
        before = await head(bench.app)
        with pytest.raises(UnknownParent, match=f"{ref}, but no job"):
            await bench.app.jobs.enqueue_graph([{"name": "n"}, {"name": "m", "after": ref}])
        with pytest.raises(UnknownParent):
            await bench.app.jobs.enqueue("m", after=ref)
        assert await enqueued_since(bench.app, before) == []

    async def test_two_siblings_cannot_have_one_ref(self, bench: Bench) -> None:
        with pytest.raises(Invalid, match="items 0 and 1 have the same ref"):
            await bench.app.jobs.enqueue_graph([{"name": "n", "ref": "a"}, {"name": "m", "ref": "a"}])
        with pytest.raises(PartlyRefused) as refused:
            await bench.app.jobs.enqueue_graph([{"name": "n", "ref": "4"}])
        assert isinstance(refused.value.outcomes[0], Invalid)

    async def test_what_comes_after_a_refused_job_is_refused_and_the_rest_goes_on(self, bench: Bench) -> None:
        await bench.app.jobs.enqueue("n", unique="taken")
        graph = Graph()
        barred = graph.add("n", unique="taken")
        graph.add("child", after=barred)
        graph.add("free")
        with pytest.raises(PartlyRefused) as refused:
            await bench.app.jobs.enqueue_graph(graph)
        parent, child, free = refused.value.outcomes
        assert isinstance(parent, DuplicateJob)
        assert isinstance(child, UnknownParent)
        assert "#0, which it is to run after, was refused" in str(child)
        assert not isinstance(free, Exception)

    async def test_a_child_comes_after_the_job_that_has_its_parents_key(self, bench: Bench) -> None:
        holder = await bench.app.jobs.enqueue("n", unique="k")
        graph = Graph()
        graph.add("later", after=graph.add("n", unique={"key": "k", "on_conflict": "existing"}))
        parent, child = await bench.app.jobs.enqueue_graph(graph)
        assert parent.id == holder.id
        assert [grant["job_id"] for grant in await claim(bench.app, 5)] == [holder.id]
        assert [(link.parent, link.child) for link in (await bench.app.jobs.graph(child.id)).links] == [
            (holder.id, child.id)
        ]

    async def test_a_graph_may_belong_to_a_batch(self, bench: Bench) -> None:
        async with bench.app.jobs.batch() as batch:
            graph = Graph()
            graph.add("second", after=graph.add("first"))
            await batch.enqueue_graph(graph)
        assert (await batch.get()).total == 2
