"""The sections of a report, a module each: a `Subject` becomes `Markup`."""
