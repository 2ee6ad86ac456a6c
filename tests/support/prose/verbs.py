"""Verbs that the docstring of a function may begin with; add one that is missing."""

from __future__ import annotations

from typing import Final

__all__ = ["VERBS"]

_TEXT: Final = """
abort accept acknowledge acquire activate add adjust advance advise align allow announce append
apply arm assert assign attach attempt authenticate await
back begin bind block bound buffer build
calculate call cancel cap change charge check choose claim classify clean clear close collect
combine commit compare compile complete compress compute configure confirm connect consume
continue convert copy correct count create cut
deactivate decide declare decode decompress decrypt deduct deduplicate define delay delete
deliver derive describe destroy detach detect determine disable discard disconnect dispatch
display divide do double drain draw drop dump
edit emit enable encode encrypt end enqueue ensure enter erase escape establish estimate
evaluate exclude execute exit expand expect expire explain export express extend extract
fail fetch fill filter find finish fit flatten flush follow forget format forward free freeze
gather generate get grant greet group grow
halve handle hash hold
identify ignore import include increase increment indent index infer inform initialize insert
inspect install interpret interrupt invoke
join judge
kill
label launch leave limit list listen load locate lock log look lower
make map mark mask match mean measure merge migrate mirror mock move multiply
name narrow normalize note notify
observe obtain offer omit open order override
pad parse pass patch pause perform permit pick place poll pop populate postpone prepare preserve
pretend prevent print probe process produce propagate protect prove publish pull purge push put
query quote
raise rank read receive reclaim recognize reconnect record recover redact redeliver redirect
reduce refill refresh refuse register reject release reload remember remove rename render renew
reopen repair repeat replace replay reply report request require reschedule reserve reset
resolve respond restart restore restrict resume retain retrieve retry return reuse reverse
revoke rewrite roll rotate round run
sample save scan schedule scrub search see select send separate serialize serve set settle shift
shorten show shrink shut sign signal simulate skip sleep sort spawn split stall start stop store
stream strip submit subscribe substitute subtract sum summarize suspend swap sweep synchronize
take talk tell terminate test throttle tick time toggle track transform translate trigger trim
truncate try tune turn
undo unescape unlock unregister unwrap update upgrade use
validate verify visit
wait wake warn watch work wrap write
yield
"""

VERBS: Final = frozenset(_TEXT.split())
