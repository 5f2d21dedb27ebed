# Records, one per line of input, as short lines for people.  Arguments: width, bold, dim, green,
# yellow, red, plain (terminal sequences or empty).
def pad($n): . + " " * ([$n - length, 0] | max);
def text: if type == "string" then . else tojson end;
def columns: to_entries | map("\(.key)=\(.value | text)") | join(" ");

def colour: {insert: $green, update: $yellow, delete: $red}[.] // "";

# of an update whose old row is known, only what changed
def what:
	if .op == "update" and .before != null then
		.before as $before | .after | to_entries
		| map(select(.value != $before[.key]) | "\(.key): \($before[.key] | text) -> \(.value | text)")
		| join(", ")
	elif .after != null then
		.key as $key | .after | with_entries(select(.key as $k | ($key // {}) | has($k) | not)) | columns
	else "" end;

def line:
	"  \(.op | pad(7))\(.table // "" | pad(12))\(.key // {} | columns | pad(18)) \(what)" as $line
	| .op as $op
	| "\($op | colour)\($line[:($width | tonumber)])\($plain)";

foreach inputs as $record (null;
	{previous: .current, current: $record.commit_lsn, record: $record};
	(if .previous != .current then
		.record | "\($dim)transaction \(.xid) at \(.commit_lsn), committed \(.ts)\($plain)"
	else empty end),
	(.record | line))
