"""Many maps together: tables in, tables out; nothing here reads a map."""
