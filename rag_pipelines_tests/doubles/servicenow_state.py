"""What a ServiceNow instance holds, and what people do to it: the tables behind the double.

What belongs here: records of knowledge, catalogue, people and user criteria. What does not: encoded queries
(`servicenow_query`), HTTP (`servicenow`), who may read what (`servicenow_oracle`).

Every record is a row of strings, as the Table API gives it with ``sysparm_display_value=false``. Names of
tables and fields are those of ServiceNow's own documentation and script includes (KBKnowledgeSNC,
KBDiagnosticsSNC). Time is `now`, moved by the test. A new version of an article is a row of its own with the
`article_id` of the first; who is in a group, a role or a department leaves no trace in any article.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

Row = dict[str, str]

BLOCK_ACCESS = "glide.knowman.block_access_with_no_user_criteria"
ARTICLE_CRITERIA = "glide.knowman.apply_article_read_criteria"
ROLE_SECURITY = "glide.knowman.search.apply_role_based_security"
FOREVER = "2100-01-01"
CRITERIA_TABLES = {
    "can_read": "kb_uc_can_read_mtom",
    "cannot_read": "kb_uc_cannot_read_mtom",
    "can_contribute": "kb_uc_can_contribute_mtom",
    "cannot_contribute": "kb_uc_cannot_contribute_mtom",
}
ITEM_TABLES = {
    "available_for": "sc_cat_item_user_criteria_mtom",
    "not_available_for": "sc_cat_item_user_criteria_no_mtom",
}
TABLES = (
    "kb_knowledge", "kb_knowledge_block", "kb_template_faq", "kb_article_template",
    "kb_article_template_definition", "kb_knowledge_base", "kb_category", "m2m_kb_knowledge_to_block",
    *CRITERIA_TABLES.values(), *ITEM_TABLES.values(), "user_criteria", "sys_attachment", "sys_audit_delete",
    "sys_properties", "sys_user", "sys_user_group", "sys_user_grmember", "sys_user_role", "sys_user_has_role",
    "sc_cat_item",
)  # fmt: skip
_PARTS = ("user", "group", "role", "department", "company", "location")


class Instance:
    """One ServiceNow instance. Methods are named for what a person does; they return the record's row."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self.now = now
        self.tables: dict[str, dict[str, Row]] = {name: {} for name in TABLES}
        self.files: dict[str, bytes] = {}
        """Bytes of attachments by sys_id."""
        self.hidden: set[str] = set()
        """sys_ids of rows that an access rule hides from the connector's account, in whatever table."""
        self.refused: set[str] = set()
        """Tables that the account may not read at all."""
        self.audited = True
        """Whether a deletion leaves a row in sys_audit_delete."""
        self.generation = 0
        """Moves with every change, so that what a query found can be kept until then."""
        self._number = 0
        self._granted: set[tuple[str, str]] = set()
        self._group_roles: dict[str, list[str]] = {}
        self._contained: dict[str, list[str]] = {}
        for name in (BLOCK_ACCESS, ARTICLE_CRITERIA, ROLE_SECURITY):
            self.insert("sys_properties", name=name, value="false")
        self.root = self.user("root", email="", first_name="System")

    def rows(self, table: str) -> dict[str, Row]:
        """The rows of a table with those of the tables that extend it."""
        if table != "kb_knowledge":
            return self.tables[table]
        extending = ("kb_knowledge_block", "kb_template_faq")
        return {
            **self.tables[table],
            **{sys_id: row for one in extending for sys_id, row in self.tables[one].items()},
        }

    def insert(self, table: str, sys_id: str = "", **values: str) -> Row:
        self._number += 1
        self.generation += 1
        sys_id = sys_id or hashlib.md5(f"{table} {self._number}".encode()).hexdigest()
        made = {
            "sys_id": sys_id,
            "sys_class_name": table,
            "sys_created_on": self.stamp(),
            "sys_mod_count": "0",
        }
        self.tables[table][sys_id] = {**made, "sys_updated_on": self.stamp(), **values}
        return self.tables[table][sys_id]

    def edit(self, row: Row, **values: str) -> Row:
        self.generation += 1
        row.update(values)
        row["sys_mod_count"] = str(int(row["sys_mod_count"]) + 1)
        row["sys_updated_on"] = self.stamp()
        return row

    def delete(self, row: Row) -> Row:
        """Delete a record, with the attachments of an article."""
        table = row["sys_class_name"]
        self._drop(row)
        if self.audited:
            self.insert(
                "sys_audit_delete",
                tablename=table,
                documentkey=row["sys_id"],
                display_value=row.get("number", ""),
            )
        for one in list(self.tables["sys_attachment"].values()):
            if one["table_sys_id"] == row["sys_id"]:
                self.delete(one)
        return row

    def undelete(self, row: Row) -> Row:
        """Restore a deleted record, as Deleted Records does."""
        self.tables[row["sys_class_name"]][row["sys_id"]] = row
        return self.edit(row)

    def set_property(self, name: str, value: str) -> None:
        row = next(one for one in self.tables["sys_properties"].values() if one["name"] == name)
        self.edit(row, value=value)

    def property(self, name: str) -> str:
        return next(one["value"] for one in self.tables["sys_properties"].values() if one["name"] == name)

    # People.

    def user(self, name: str, email: str | None = None, *, active: bool = True, **values: str) -> Row:
        return self.insert(
            "sys_user",
            user_name=name,
            name=name.title(),
            email=f"{name}@example.com" if email is None else email,
            active=_flag(active),
            **{"department": "", "company": "", "location": "", **values},
        )

    def group(
        self, name: str, *members: Row, parent: str = "", manager: str = "", roles: Iterable[Row] = ()
    ) -> Row:
        """A group; those in groups below it are not its members, but have its roles."""
        row = self.insert("sys_user_group", name=name, parent=parent, manager=manager, active="true")
        self._group_roles[row["sys_id"]] = [role["sys_id"] for role in roles]
        for member in members:
            self.join(row, member)
        self._settle_roles()
        return row

    def join(self, group: Row, user: Row) -> None:
        if (group["sys_id"], user["sys_id"]) not in self._memberships():
            self.insert("sys_user_grmember", group=group["sys_id"], user=user["sys_id"])
        self._settle_roles()

    def leave(self, group: Row, user: Row) -> None:
        for row in list(self.tables["sys_user_grmember"].values()):
            if (row["group"], row["user"]) == (group["sys_id"], user["sys_id"]):
                self._drop(row)
        self._settle_roles()

    def put_below(self, group: Row, parent: Row | None) -> None:
        self.edit(group, parent="" if parent is None else parent["sys_id"])
        self._settle_roles()

    def role(self, name: str, *contains: Row, elevated: bool = False) -> Row:
        row = self.insert("sys_user_role", name=name, elevated_privilege=_flag(elevated))
        self._contained[row["sys_id"]] = [one["sys_id"] for one in contains]
        return row

    def grant(self, user: Row, role: Row) -> None:
        self._granted.add((user["sys_id"], role["sys_id"]))
        self._settle_roles()

    def revoke(self, user: Row, role: Row) -> None:
        self._granted.discard((user["sys_id"], role["sys_id"]))
        self._settle_roles()

    def criterion(
        self, name: str = "", *, match_all: bool = False, script: bool = False, **parts: Iterable[Row | str]
    ) -> Row:
        """A user criterion; `parts` are lists of users, groups, roles, departments, companies, locations."""
        lists = {part: _ids(parts.get(part, ())) for part in _PARTS}
        return self.insert(
            "user_criteria",
            name=name or "criterion",
            active="true",
            advanced=_flag(script),
            match_all=_flag(match_all),
            u_cost_center="",
            **lists,
        )

    # Knowledge.

    def base(
        self,
        title: str,
        *,
        owner: Row | None = None,
        managers: Iterable[Row] = (),
        application: str = "global",
    ) -> Row:
        return self.insert(
            "kb_knowledge_base",
            title=title,
            owner="" if owner is None else owner["sys_id"],
            kb_managers=_ids(managers),
            application=application,
            active="true",
            kb_version="3",
            enable_blocks="true",
        )

    def set_criteria(self, base: Row, kind: str, criteria: Iterable[Row]) -> None:
        """Whom a base lets in; `kind` is a key of `CRITERIA_TABLES`. The base's own row does not change."""
        self._set_links(CRITERIA_TABLES[kind], "kb_knowledge_base", base, criteria)

    def category(self, label: str, parent: Row) -> Row:
        return self.insert("kb_category", label=label, parent_id=parent["sys_id"], active="true")

    def article(self, base: Row, title: str, text: str, *, table: str = "kb_knowledge", **values: str) -> Row:
        """A published article, or a block."""
        row = self.insert(table)
        row.update(self._fields(base, title, text, row["sys_id"]), **values)
        row.setdefault("article_id", row["sys_id"])
        return row

    def template(self, table: str, *columns: str) -> Row:
        """A template whose articles have their content in `columns` of a table of their own."""
        template = self.insert(
            "kb_article_template", article_template=table, child_table=table, active="true"
        )
        for place, column in enumerate(columns):
            self.insert(
                "kb_article_template_definition",
                article_template=template["sys_id"],
                table_column=column,
                order=str(100 * (place + 1)),
                active="true",
            )
        return template

    def new_version(self, article: Row, **values: str) -> Row:
        """Publish a version of an article: a row of its own; the one before becomes outdated."""
        self.edit(article, workflow_state="outdated", latest="false")
        row = self.insert(article["sys_class_name"])
        row.update({**article, **row, "workflow_state": "published", "latest": "true", **values})
        return row

    def check_out(self, article: Row) -> Row:
        """Begin a draft of the next version; the published one stays what readers see."""
        row = self.insert(article["sys_class_name"])
        self.edit(article, latest="false")
        row.update({**article, **row, "workflow_state": "draft", "latest": "true"})
        return row

    def set_readers(self, article: Row, can: Iterable[Row] = (), cannot: Iterable[Row] = ()) -> Row:
        return self.edit(article, can_read_user_criteria=_ids(can), cannot_read_user_criteria=_ids(cannot))

    def block(self, base: Row, title: str, text: str, **values: str) -> Row:
        return self.article(base, title, text, table="kb_knowledge_block", **values)

    def use_block(self, article: Row, block: Row) -> Row:
        return self.insert(
            "m2m_kb_knowledge_to_block", knowledge=article["sys_id"], knowledge_block=block["sys_id"]
        )

    def attach(self, record: Row, name: str, data: bytes, media_type: str = "text/plain") -> Row:
        row = self.insert(
            "sys_attachment",
            table_name=record["sys_class_name"],
            table_sys_id=record["sys_id"],
            file_name=name,
            content_type=media_type,
            size_bytes=str(len(data)),
        )
        self.files[row["sys_id"]] = data
        return row

    # Catalogue.

    def item(self, name: str, text: str, **values: str) -> Row:
        return self.insert(
            "sc_cat_item",
            **{"name": name, "short_description": name, "description": text, "active": "true", **values},
        )

    def set_available(self, item: Row, kind: str, criteria: Iterable[Row]) -> None:
        self._set_links(ITEM_TABLES[kind], "sc_cat_item", item, criteria)

    def tick(self, by: timedelta = timedelta(hours=1)) -> datetime:
        self.now += by
        return self.now

    def stamp(self, moment: datetime | None = None) -> str:
        return (moment or self.now).strftime("%Y-%m-%d %H:%M:%S")

    def _fields(self, base: Row, title: str, text: str, sys_id: str) -> Row:
        return {
            "number": f"KB{self._number:07}",
            "article_id": sys_id,
            "kb_knowledge_base": base["sys_id"],
            "kb_category": "",
            "short_description": title,
            "article_type": "text",
            "text": text,
            "wiki": "",
            "workflow_state": "published",
            "active": "true",
            "latest": "true",
            "valid_to": FOREVER,
            "language": "en",
            "parent": "",
            "author": self.root["sys_id"],
            "ownership_group": "",
            "roles": "",
            "can_read_user_criteria": "",
            "cannot_read_user_criteria": "",
            "published": self.stamp()[:10],
            "display_number": f"KB{self._number:07} v1.0",
        }

    def _set_links(self, table: str, column: str, record: Row, criteria: Iterable[Row]) -> None:
        rows = self.tables[table]
        for row in [one for one in rows.values() if one[column] == record["sys_id"]]:
            self._drop(row)
        for criterion in criteria:
            self.insert(table, **{column: record["sys_id"], "user_criteria": criterion["sys_id"]})

    def _drop(self, row: Row) -> None:
        self.generation += 1
        del self.tables[row["sys_class_name"]][row["sys_id"]]

    def _memberships(self) -> set[tuple[str, str]]:
        return {(row["group"], row["user"]) for row in self.tables["sys_user_grmember"].values()}

    def _settle_roles(self) -> None:
        """sys_user_has_role holds what is granted, what groups and those above give, what roles contain."""
        held = {(user, role) for user, role in self._granted}
        for group, user in self._memberships():
            for above in self._lineage(group):
                held |= {(user, role) for role in self._group_roles.get(above, ())}
        while more := {(u, c) for u, r in held for c in self._contained.get(r, ())} - held:
            held |= more
        rows = self.tables["sys_user_has_role"]
        known = {(row["user"], row["role"]): row["sys_id"] for row in rows.values()}
        for pair in known.keys() - held:
            self._drop(rows[known[pair]])
        for user, role in sorted(held - known.keys()):
            inherited = _flag((user, role) not in self._granted)
            self.insert("sys_user_has_role", user=user, role=role, state="active", inherited=inherited)

    def _lineage(self, group: str) -> list[str]:
        """A group and those above it."""
        line: list[str] = []
        while group and group not in line:
            line.append(group)
            row = self.tables["sys_user_group"].get(group)
            group = row["parent"] if row else ""
        return line


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _ids(records: Iterable[Row | str]) -> str:
    return ",".join(one if isinstance(one, str) else one["sys_id"] for one in records)
