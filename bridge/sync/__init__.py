"""The three steps: collect, resolve, deliver; each restartable, each keeping its progress with its result."""
