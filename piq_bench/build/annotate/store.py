"""Keeps every answer in an SQLite file, with what it replaced, so that any action can be undone.

An action is what one click does: it has an author, a time and a list of changes. All its changes are on disk before
the click is acknowledged. A browser that gets no acknowledgement sends the same click again, under the same name; it is
applied once. An undone action stays in the file, so that the history is whole.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from piq_bench.errors import BadDataset, Problem, printable

FORMAT = 1  # of the file, in its user_version
APPLICATION = 0x50495141  # "PIQA"
BUSY_SECONDS = 10
TABLES = """
create table annotator (id integer primary key, name text not null unique);
create table person (id integer primary key, name text not null unique, label text not null, merged_into text not null);
create table action (id integer primary key, click text unique, at real not null, annotator integer not null,
  task text not null, kind text not null, detail text not null, images integer not null, undone_at real);
create table change (action integer not null, place integer not null, kind text not null, key text not null,
  before text not null, after text not null, primary key (action, place)) without rowid;
create table answer (task text not null, image text not null, annotator integer not null, value text not null,
  primary key (task, annotator, image)) without rowid;
create index undoable on action (annotator, id) where undone_at is null;
"""
ANSWER, NAME, LABEL, MERGED = "answer", "name", "label", "merged"
COLUMNS = {NAME: "name", LABEL: "label", MERGED: "merged_into"}
NOTHING = ""  # the value of an answer that is not there


@dataclass(frozen=True)
class Change:
    """One value that an action replaces.

    Attributes:
        kind: ANSWER, or the property of a person: NAME, LABEL or MERGED.
        key: of an answer, a JSON list of task, annotator and image; of a person, the number.
        before, after: the value; NOTHING for an answer that is not there.
    """

    kind: str
    key: str
    before: str
    after: str

    @property
    def answer(self) -> tuple[str, int, str]:
        """Task, annotator and image of an answer."""
        task, annotator, image = json.loads(self.key)
        return task, annotator, image


def answer_key(task: str, annotator: int, image: str) -> str:
    """The key of an answer in a change."""
    return json.dumps([task, annotator, image], ensure_ascii=False)


@dataclass(frozen=True)
class Action:
    """One line of the history; times are seconds since 1970."""

    id: int
    at: float
    annotator: int
    task: str
    kind: str
    detail: str
    images: int
    undone_at: float | None


class Store:
    """The file of answers. One process writes it; any number of threads may call.

    Args:
        path: the file, which is made if it does not exist.

    Raises:
        BadDataset: if the file is something else, damaged, or of a later version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.RLock()
        try:
            self.base = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self.base.close()
                raise
        except sqlite3.Error as error:
            remedy = "restore the file from a copy, or move it away to begin anew"
            raise BadDataset(str(path), [Problem("answers", path.name, printable(error), remedy)]) from None

    def _prepare(self) -> None:
        """Make the tables of a new file, and refuse what is no file of answers."""
        self.base.execute("pragma trusted_schema = off")
        (application,) = self.base.execute("pragma application_id").fetchone()
        (version,) = self.base.execute("pragma user_version").fetchone()
        is_new = not self.base.execute("select count(*) from sqlite_master").fetchone()[0]
        if not is_new and (application, version) != (APPLICATION, FORMAT):
            raise sqlite3.DatabaseError("it holds no answers of this version of piq annotate")
        self.base.execute("pragma journal_mode = wal")
        self.base.execute("pragma synchronous = full")  # a commit survives a power cut as well
        if is_new:
            with self.transaction():
                for statement in TABLES.split(";"):
                    self.base.execute(statement)
                self.base.execute(f"pragma application_id = {APPLICATION}")
                self.base.execute(f"pragma user_version = {FORMAT}")

    def close(self) -> None:
        """Close the file; everything is already on disk."""
        self.base.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on disk at the end."""
        with self.lock:
            self.base.execute("begin immediate")
            try:
                yield
            except BaseException:
                self.base.execute("rollback")
                raise
            self.base.execute("commit")

    def annotator(self, name: str) -> int:
        """The number of an annotator, who is entered if the name is new."""
        with self.lock:
            found = self.base.execute("select id from annotator where name = ?", (name,)).fetchone()
        if found is not None:
            return int(found[0])
        with self.transaction():
            self.base.execute("insert or ignore into annotator (name) values (?)", (name,))
            return int(self.base.execute("select id from annotator where name = ?", (name,)).fetchone()[0])

    def annotators(self) -> dict[int, str]:
        """Name of each annotator, by number."""
        with self.lock:
            return dict(self.base.execute("select id, name from annotator order by id"))

    def people(self) -> list[tuple[int, str, str, str]]:
        """Number, name, label and the number of the person that each was merged into, as text."""
        with self.lock:
            return self.base.execute("select id, name, label, merged_into from person order by id").fetchall()

    def add_person(self, name: str, label: str) -> int:
        """Enter a person; call it in the transaction of the action that needs the person."""
        made = self.base.execute("insert into person (name, label, merged_into) values (?, ?, '')", (name, label))
        return int(made.lastrowid or 0)

    def answers(self) -> Iterator[tuple[str, str, int, str]]:
        """Task, image, annotator and value of every answer."""
        with self.lock:
            yield from self.base.execute("select task, image, annotator, value from answer")

    def was_applied(self, click: str | None) -> bool:
        """Whether an action of that name is in the file."""
        with self.lock:
            found = self.base.execute("select 1 from action where click = ?", (click,)).fetchone()
            return click is not None and found is not None

    def act(
        self, changes: Sequence[Change], *, annotator: int, task: str, kind: str, detail: str, click: str | None = None
    ) -> int:
        """Apply an action, in a transaction of its own or in that of the caller; its number."""
        with self.lock:
            if not self.base.in_transaction:
                with self.transaction():
                    return self.act(changes, annotator=annotator, task=task, kind=kind, detail=detail, click=click)
            n_images = len({change.answer[2] for change in changes if change.kind == ANSWER})
            number = self.base.execute(
                "insert into action (click, at, annotator, task, kind, detail, images) values (?, ?, ?, ?, ?, ?, ?)",
                (click, time.time(), annotator, task, kind, detail, n_images),
            ).lastrowid
            self.base.executemany(
                "insert into change (action, place, kind, key, before, after) values (?, ?, ?, ?, ?, ?)",
                [(number, at, c.kind, c.key, c.before, c.after) for at, c in enumerate(changes)],
            )
            self._write(changes)
            return int(number or 0)

    def undo(self, annotator: int) -> tuple[Action, list[Change]] | None:
        """Take back an annotator's last action that is not undone; what it was, and the changes that this made.

        A value that somebody else has changed since then stays as it is.
        """
        with self.transaction():
            row = self.base.execute(
                "select id, at, annotator, task, kind, detail, images, undone_at from action"
                " where annotator = ? and undone_at is null order by id desc limit 1",
                (annotator,),
            ).fetchone()
            if row is None:
                return None
            made = self.base.execute(
                "select kind, key, before, after from change where action = ? order by place desc", (row[0],)
            )
            back = [Change(kind, key, after, before) for kind, key, before, after in made]
            back = [change for change in back if self._value(change) == change.before]
            self._write(back)
            self.base.execute("update action set undone_at = ? where id = ?", (time.time(), row[0]))
            return Action(*row), back

    def history(self, most: int) -> list[Action]:
        """The last actions, newest first."""
        with self.lock:
            rows = self.base.execute(
                "select id, at, annotator, task, kind, detail, images, undone_at from action order by id desc limit ?",
                (most,),
            )
            return [Action(*row) for row in rows]

    def times(self) -> list[tuple[str, int, float, int]]:
        """Task, annotator, time and number of images of each action that stands, in order of time."""
        with self.lock:
            return self.base.execute(
                "select task, annotator, at, images from action where undone_at is null and kind = ? order by id",
                (ANSWER,),
            ).fetchall()

    def _value(self, change: Change) -> str | None:
        if change.kind == ANSWER:
            task, annotator, image = change.answer
            query = "select value from answer where task = ? and annotator = ? and image = ?"
            found = self.base.execute(query, (task, annotator, image)).fetchone()
            return NOTHING if found is None else str(found[0])
        query = f"select {COLUMNS[change.kind]} from person where id = ?"  # noqa: S608  (a column of ours)
        found = self.base.execute(query, (int(change.key),)).fetchone()
        return None if found is None else str(found[0])

    def _write(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind != ANSWER:
                query = f"update person set {COLUMNS[change.kind]} = ? where id = ?"  # noqa: S608  (a column of ours)
                self.base.execute(query, (change.after, int(change.key)))
                continue
            task, annotator, image = change.answer
            if change.after == NOTHING:
                query = "delete from answer where task = ? and annotator = ? and image = ?"
                self.base.execute(query, (task, annotator, image))
            else:
                query = "insert or replace into answer (task, annotator, image, value) values (?, ?, ?, ?)"
                self.base.execute(query, (task, annotator, image, change.after))
