"""Models and adapters by name."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TABLE = "fourways_models"


def upgrade() -> None:
    op.create_table(
        _TABLE,
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("added", sa.String(20), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("revision", sa.Text(), nullable=True),
        sa.Column("identity", sa.String(64), nullable=True),
        sa.Column("manifest", sa.JSON(), nullable=True),
        sa.Column("adapter", sa.JSON(), nullable=True),
        sa.Column("base_id", sa.Integer(), nullable=True),
        sa.Column("base_identity", sa.String(64), nullable=True),
        sa.Column("stamps", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{_TABLE}"),
        sa.UniqueConstraint("name", name=f"uq_{_TABLE}_name"),
        sa.CheckConstraint("kind in ('model', 'adapter')", name=op.f(f"ck_{_TABLE}_kind")),
        sa.ForeignKeyConstraint(["base_id"], [f"{_TABLE}.id"], ondelete="SET NULL", name=op.f(f"fk_{_TABLE}_base_id")),
    )


def downgrade() -> None:
    op.drop_table(_TABLE)
