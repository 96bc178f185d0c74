"""A company's week on this machine: stand-ins of its vendors, and crmbridge run over them as a user runs it."""
