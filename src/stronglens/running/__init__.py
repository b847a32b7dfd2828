"""How a step is started, watched and ended; nothing here changes a result."""
