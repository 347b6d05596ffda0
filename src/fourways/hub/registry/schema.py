"""The registry's table. What is here and what the migrations make is the same; a test compares them.

Both names begin with `fourways`, because a PostgreSQL database may hold other people's tables.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from fourways.hub.registry.entry import NAME_LENGTH

TABLE = "fourways_models"
VERSION_TABLE = "fourways_registry_version"


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
        }
    )


class ModelRow(Base):
    """An `Entry`. manifest, adapter and stamps are what msgspec makes of its fields."""

    __tablename__ = TABLE
    __table_args__ = (UniqueConstraint("name"), CheckConstraint("kind in ('model', 'adapter')", name="kind"))

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    kind: Mapped[str] = mapped_column(String(16))
    folder: Mapped[str] = mapped_column(Text)
    host: Mapped[str] = mapped_column(Text)
    added: Mapped[str] = mapped_column(String(20))
    source: Mapped[str | None] = mapped_column(Text)
    revision: Mapped[str | None] = mapped_column(Text)
    identity: Mapped[str | None] = mapped_column(String(64))
    manifest: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    adapter: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    base_id: Mapped[int | None] = mapped_column(ForeignKey(f"{TABLE}.id", ondelete="SET NULL"))
    base_identity: Mapped[str | None] = mapped_column(String(64))
    stamps: Mapped[dict[str, Any]] = mapped_column(JSON)

    base: Mapped[ModelRow | None] = relationship(remote_side="ModelRow.id", lazy="joined", join_depth=1)
