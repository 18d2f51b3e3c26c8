"""Is what an enhanced map shows real? Nine controls, each with a stated expectation."""
