"""The real stack on this machine, as child processes: no containers, and no Java but what pip brings."""
