"""Run by Alembic. The connection is given, with its transaction begun and its lock taken (opening.py)."""

from alembic import context

from fourways.hub.registry.schema import VERSION_TABLE, Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
