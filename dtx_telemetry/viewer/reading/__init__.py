"""From files and pipes to lines: opening, unwrapping, filtering, searching."""
