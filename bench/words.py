"""The figures of each bench in words, as a line of the table in docs/benchmarks.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["in_words", "machine"]

_WORDS: Final = {
    "throughput": "{engine_per_s}/s, floor {floor_per_s}/s: ratio {ratio}"
    " (from {lowest_ratio} to {highest_ratio}); seen from outside, one process"
    " {engine_1_process_per_s}/s, two {engine_2_processes_per_s}/s",
    "floor": "{floor_per_s}/s, {floor_python_us_per_delivery} µs of CPU a delivery",
    "python": "{engine_us_per_delivery} µs of CPU a delivery, floor"
    " {floor_us_per_delivery} µs: ratio {ratio}; under a profiler {share_http} of it in http,"
    " {share_engine} in engine, {share_store} in store and driver, {share_message} in message",
    "wal": "{wal_bytes_per_job} B a job, {log_row_alone_bytes} B of it the log row alone:"
    " {beyond_the_log_row_bytes} B in addition ({beyond_with_repeated_payload_bytes} B with"
    " payloads of one repeated character); {page_images_per_1000_jobs} page images in 1,000 jobs"
    " ({page_images})",
    "latency": "p50 and p99 {same_process_p50_ms} and {same_process_p99_ms} ms in the producer's"
    " process, {other_process_p50_ms} and {other_process_p99_ms} ms in another,"
    " {without_notifications_p50_ms} and {without_notifications_p99_ms} ms without notifications",
    "isolation": "{healthy_jobs} healthy jobs take {alone_s} s alone; {beside_hanging_ratio} times"
    " that with {hanging_jobs} hanging ones, {beside_mixed_ratio} times with refusing, slow and"
    " resetting ones, {beside_mixed_under_way_ratio} times when all of these already run",
    "hostile": "{beside_per_s}/s with {fewest_sockets} sockets that hang, drip, never end and"
    " stall in TLS, {alone_per_s}/s without: ratio {ratio} (from {lowest_ratio} to"
    " {highest_ratio}); the worker's memory {beside_highest_mib} and {alone_highest_mib} MiB",
    "computations": "the slowest delivery of a neighbour takes {beside_nothing_s} s alone;"
    " with {jobs} jobs with a payload of {payload_bytes} B {beside_body_s} s if a placeholder"
    " of the body names a part of it, {beside_header_s} s if one of a header does,"
    " {beside_everything_s} s if one takes all of it, {beside_tokens_s} s with 490 fields"
    " named tokenN",
    "fairness": "a quiet tenant's jobs start after {start_delay_p50_ms} ms (p50) and"
    " {start_delay_p99_ms} ms (p99) while {busy_jobs} jobs of another are drained at"
    " {busy_per_s}/s",
    "backlog": "{few_per_s}/s with {few} jobs waiting, {many_per_s}/s with {many}: ratio {ratio}",
    "xmin": "a claim takes {claim_p50_ms} ms (p50) and {claim_p99_ms} ms (p99) at {jobs_per_s}"
    " jobs/s, {claim_with_snapshot_p50_ms} and {claim_with_snapshot_p99_ms} ms with a snapshot"
    " held for {seconds} s; deliveries then end {seconds_behind_with_snapshot} s late",
    "lanes": "{one_job_each_per_s}/s over {reactions} reactions with a job each,"
    " {over_100_reactions_per_s}/s with as many jobs over 100: ratio {ratio}",
    "fanout": "written a second: {trigger_many_jobs_per_s} jobs by trigger_many,"
    " {trigger_many_of_10_jobs_per_s} with ten reactions each, {one_trigger_of_1000_jobs_per_s} by"
    " triggers with 1,000 reactions, {single_trigger_jobs_per_s} by sequential triggers,"
    " {single_trigger_20_at_once_jobs_per_s} by 20 concurrent ones; {trigger_many_cpu_us_per_job},"
    " {trigger_many_of_10_cpu_us_per_job}, {one_trigger_of_1000_cpu_us_per_job},"
    " {single_trigger_cpu_us_per_job} and {single_trigger_20_at_once_cpu_us_per_job} µs of the"
    " producer's CPU a job",
    "tls": "{tls_per_s}/s and {tls_cpu_us} µs of CPU a delivery on reused connections"
    " (plain {plain_per_s}/s, {plain_cpu_us} µs), {tls_new_connections_per_s}/s and"
    " {tls_new_connections_cpu_us} µs on new ones (plain {plain_new_connections_per_s}/s,"
    " {plain_new_connections_cpu_us} µs); {handshake_cpu_us} µs a handshake; the loop is late by"
    " {tls_new_connections_loop_late_p99_ms} ms (p99) during handshakes,"
    " {tls_loop_late_p99_ms} ms without",
    "memory": "{draining_last_quarter_mib} MiB at the end of {jobs} jobs, {draining_growth} times"
    " its value in the second quarter; {large_answers_last_quarter_mib} MiB and"
    " {large_answers_growth} times with {jobs_with_large_answers} responses of 64 KiB",
    "startup": "`--version` takes {version_ratio} times as long as `python -c pass`, `--help`"
    " {help_ratio}, the help of a command {command_help_ratio}, `jobs list` on a running database"
    " {jobs_list_ratio}; {version_cpu_ratio}, {help_cpu_ratio}, {command_help_cpu_ratio} and"
    " {jobs_list_cpu_ratio} times its CPU; bytecode {bytecode}",
}


class _Formatted(dict[str, str]):
    """Figures as written in the table; a dash for a figure that an older run lacks."""

    def __init__(self, figures: Mapping[str, Any]) -> None:
        super().__init__({name: _format(value) for name, value in figures.items()})

    def __missing__(self, name: str) -> str:
        return "-"


def in_words(figures: Mapping[str, Any]) -> str:
    """Return the measurements of a bench in words, from its line of JSON."""
    name = figures["bench"]
    if name == "peers":
        return _peers(figures)
    return _WORDS[name].format_map(_Formatted(figures))


def machine(figures: Mapping[str, Any]) -> str:
    """Return the machine of a measurement, without the database."""
    words = "{cpu}, {cores} cores, {memory_gib} GiB of memory, Python {python}"
    return words.format_map(_Formatted(figures))


def _format(value: object) -> str:
    # bool is a subclass of int.
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def _peers(figures: Mapping[str, Any]) -> str:
    parts = []
    text = _Formatted(figures)
    for key, rate in figures.items():
        name = key.removesuffix("_per_s")
        if name in {key, "engine"}:
            continue
        if rate is None:
            parts.append(f"{name} could not be run")
        else:
            parts.append(
                f"{text[key]}/s by {name} {text[f'{name}_version']} on {text[f'{name}_runtime']}"
                f" (the engine is {text[f'{name}_ratio']} times as fast)"
            )
    return f"{text['engine_per_s']}/s by the engine; " + "; ".join(parts)
