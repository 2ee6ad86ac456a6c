"""The work of a job: an HTTP call, prepared, admitted and made."""
