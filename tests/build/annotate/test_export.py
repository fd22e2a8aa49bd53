"""annotations.csv after annotation: only answered cells change, and what is read again is what was written."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from annotate_builders import annotations

from piq_bench.build.annotate import actions
from piq_bench.build.annotate.export import export
from piq_bench.build.annotate.project import Project, open_project
from piq_bench.read.dataset import inspect_dataset


def lines(dataset: Path) -> list[str]:
    return (dataset / "annotations.csv").read_text().splitlines()


def test_nothing_changes_when_nobody_has_answered(project: Project, dataset: Path) -> None:
    before = (dataset / "annotations.csv").stat().st_mtime_ns
    assert export(project, dataset).cells == 0
    assert ((dataset / "annotations.csv").read_text(), (dataset / "annotations.csv").stat().st_mtime_ns) == (
        annotations(),
        before,
    )


def test_answers_names_and_genders_are_written_and_conflicts_are_not(project: Project, dataset: Path) -> None:
    ann = actions.annotator_number(project, "Ann")
    actions.answer_new_person(project, ann, [4], "male")
    actions.rename(project, ann, 3, 'Jo "the, one"')
    actions.answer(project, ann, "mood", [4, 5], "-")
    actions.answer(project, ann, "reid", [5], "|?")
    actions.answer(project, ann, "reid", [6], "|x")
    actions.answer(project, ann, "reid", [0], "p2")
    done = export(project, dataset)
    assert (done.conflicts, done.not_people, done.unsure) == ({"reid": 1, "gender": 1}, 2, 1)
    assert lines(dataset) == [
        "image,split,identity,gender,mood,source,track,note",
        "f1/0.png,train,,,happy|sad,f1,t1,n0",
        "f1/1.png,train,anna,female,-,f1,t1,n1",
        "f1/2.png,train,bob,male,,f1,t2,n2",
        "f1/3.png,train,,,,f1,t2,n3",
        'f1/4.png,train,"Jo ""the, one""",male,-,f1,t3,n4',
        "f1/5.png,train,,,-,f1,t3,n5",
        "f2/0.png,train,-1,,,f2,t1,n6",  # the junk that benchmark.toml declares
        "f2/1.png,train,-1,,,f2,t4,n7",
    ]
    assert inspect_dataset(dataset, need_labels=False).benchmark.identities == ('Jo "the, one"', "anna", "bob")
    written = (dataset / "annotations.csv").read_text()
    project.close()
    again = open_project(dataset)
    assert export(again, dataset).cells == 0
    assert not any(action.kind == "files" and action.id > 1 for action in again.store.history(99))
    actions.settle(again, ann, "reid", [0], "p1")
    assert export(again, dataset).cells == 2  # the person, and with her the gender
    assert lines(dataset)[1] == "f1/0.png,train,anna,female,happy|sad,f1,t1,n0"
    again.close()
    assert written != (dataset / "annotations.csv").read_text()


def test_labels_changed_by_hand_between_sessions_are_taken_up(project: Project, dataset: Path) -> None:
    ann = actions.annotator_number(project, "Ann")
    actions.answer(project, ann, "gender", [4], "male")
    export(project, dataset)
    project.close()
    text = (dataset / "annotations.csv").read_text()
    text = text.replace("f1/4.png,train,,male", "f1/4.png,train,,female").replace(
        "f1/0.png,train,anna", "f1/0.png,train,cleo"
    )
    (dataset / "annotations.csv").write_text(text)
    again = open_project(dataset)
    shown = [again.ballots.shown("reid", int(code)) for code in again.ballots.labels("reid")]
    assert shown[:3] == ["cleo", "anna", "bob"]
    assert again.ballots.shown("gender", int(again.ballots.labels("gender")[4])) == "in conflict"
    again.close()


def test_a_parquet_table_stays_one(project: Project, dataset: Path) -> None:
    project.close()
    rows = [line.split(",") for line in lines(dataset)]
    table = pa.table({name: [row[at] for row in rows[1:]] for at, name in enumerate(rows[0])})
    (dataset / "annotations.csv").unlink()
    pq.write_table(table, dataset / "annotations.parquet")
    again = open_project(dataset)
    actions.answer(again, actions.annotator_number(again, "Ann"), "gender", [4], "male")
    assert export(again, dataset).cells == 1
    again.close()
    found = pq.read_table(dataset / "annotations.parquet")
    assert found.column_names == rows[0]
    assert found["gender"].to_pylist() == ["female", "female", "male", "", "male", "", "", ""]
