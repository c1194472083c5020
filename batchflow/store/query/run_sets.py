"""The queries that compare sets of runs: how long runs stayed at a status, and where they were.

Runs move in commits of many, and a commit's runs mostly have consecutive seqs. So a set of runs is
kept as one 64-bit number for each 64 consecutive seqs, a *slab*, with a bit for each run. Comparing
sets by bits takes a tenth of the time that comparing run by run does.
"""

from __future__ import annotations

from typing import Final

SLAB: Final = "seq >> 6 AS slab"
RUNS: Final = "bit_or(1::UBIGINT << (seq & 63)::UBIGINT)"
# Up to so many sets of a slab at a status are compared with each other; rows are sorted otherwise.
_MOST_SETS: Final = 16
_LEAVES: Final = "(outcome = 'advanced' OR outcome = 'retried' AND from_status <> to_status)"
# Stays are ranked by their first digits, as their order needs memory for each that differs.
_DIGITS: Final = 5


def samples_of(run_id_base: int) -> str:
    """Return the aggregate for the ids of up to three runs, the first of the first sets."""
    return f"""list_transform(
        flatten(list_transform(
            arg_min(struct_pack(slab, runs), slab, 3), lambda first: list_transform(
                list_filter(
                    range(64), lambda bit: first.runs >> bit::UBIGINT & 1::UBIGINT = 1::UBIGINT
                ),
                lambda bit: (first.slab << 6) + bit
            )
        ))[:3],
        lambda seq: CAST({run_id_base}::UHUGEINT + seq::UHUGEINT AS UUID)
    )"""


# A run that ever was at a status is there now or has left it, so arrivals aren't counted. A run
# leaves a status where a step advances it, or where it is retried at another one.
FUNNEL: Final = f"""
    WITH kind AS (SELECT (SELECT status FROM {{runs}} LIMIT 0) AS status),
    statuses AS (
        SELECT cast_to_type(name, (SELECT status FROM kind)) AS status
        FROM (SELECT unnest(enum_range(status)) AS name FROM kind)
    ),
    seen AS (
        SELECT status, slab, runs AS here, 0::UBIGINT AS gone FROM ({{states}})
        UNION ALL
        SELECT from_status, {SLAB}, 0::UBIGINT, {RUNS} FROM {{transitions}}
        WHERE outcome IN ('advanced', 'retried') AND from_status <> to_status GROUP BY ALL
    ),
    sets AS (
        SELECT status, bit_or(here) AS here, bit_or(gone) AS gone FROM seen GROUP BY status, slab
    ),
    counted AS (
        SELECT status, sum(bit_count(here | gone))::BIGINT AS reached,
               sum(bit_count(here))::BIGINT AS here, sum(bit_count(gone))::BIGINT AS gone
        FROM sets GROUP BY status
    )
    SELECT status, coalesce(reached, 0) AS reached, coalesce(here, 0) AS here,
           coalesce(gone, 0) AS "left"
    FROM statuses LEFT JOIN counted USING (status)
    ORDER BY status"""

# If no run of a slab was at a status twice, its arrivals and departures there are matched by their
# sets alone. A run then arrived once at each status that it left, except at its first: there, its
# creation is the arrival. The runs of the other slabs are sorted by the order of their transitions.
STAYS: Final = f"""
    WITH moves AS MATERIALIZED (
        SELECT from_status, to_status, {SLAB}, epoch_us(committed_at) AS moment,
               {RUNS} AS runs, count(*) AS rows
        FROM {{transitions}} WHERE {_LEAVES} GROUP BY ALL
    ),
    ends AS (
        SELECT from_status AS status, slab, runs AS gone, 0::UBIGINT AS came, rows FROM moves
        UNION ALL
        SELECT to_status, slab, 0::UBIGINT, runs, rows FROM moves
    ),
    met AS MATERIALIZED (
        SELECT status, slab, bit_or(gone) AS gone, bit_or(gone) & ~bit_or(came) AS begun,
               sum(rows) = bit_count(bit_or(gone)) + bit_count(bit_or(came)) AS once,
               count(*) <= {_MOST_SETS} AS few
        FROM ends GROUP BY status, slab
    ),
    others AS MATERIALIZED (
        SELECT slab FROM met GROUP BY slab
        HAVING NOT bool_and(once AND few) OR bit_or(begun) <> bit_or(gone)
               OR sum(bit_count(begun)) <> bit_count(bit_or(gone))
    ),
    departures AS MATERIALIZED (SELECT * FROM moves ANTI JOIN others USING (slab)),
    creations AS (
        SELECT {SLAB}, epoch_us(created_at) AS moment, {RUNS} AS runs FROM {{runs}} GROUP BY ALL
    ),
    arrivals AS (
        SELECT to_status AS status, slab, moment, runs FROM departures
        UNION ALL
        SELECT status, slab, moment, runs & begun FROM creations JOIN met USING (slab)
        WHERE runs & begun <> 0
    ),
    moments AS (
        SELECT seq, NULL AS status, 0 AS version, epoch_us(created_at) AS moment FROM {{runs}}
        WHERE seq >> 6 IN (FROM others)
        UNION ALL
        SELECT seq, from_status, version, epoch_us(committed_at) FROM {{transitions}}
        WHERE {_LEAVES} AND seq >> 6 IN (FROM others)
    ),
    stays AS (
        SELECT d.from_status AS status, d.moment - a.moment AS length,
               bit_count(d.runs & a.runs)::BIGINT AS runs
        FROM departures AS d JOIN arrivals AS a ON d.from_status = a.status AND d.slab = a.slab
        WHERE d.runs & a.runs <> 0 AND {{within}}
        UNION ALL
        SELECT status, length, 1 FROM (
            SELECT status, d.moment,
                   d.moment - lag(d.moment) OVER (PARTITION BY seq ORDER BY version) AS length
            FROM moments AS d
        ) AS d WHERE {{within}}
    )
    SELECT status, sum(runs)::BIGINT AS runs, max(length) AS longest,
           length // unit * unit AS length
    FROM (
        SELECT *, greatest(1, 10 ** (floor(log10(greatest(abs(length), 1))) - {_DIGITS - 1})
               )::BIGINT AS unit
        FROM stays WHERE status IS NOT NULL
    ) GROUP BY ALL"""

# Of one store or of several, as no run has stays in two of them.
DURATIONS: Final = """
    WITH counted AS (
        SELECT status, length, sum(runs) AS runs, max(longest) AS longest FROM {stays} GROUP BY ALL
    ),
    ranked AS (
        SELECT *, sum(runs) OVER (PARTITION BY status) AS total,
               sum(runs) OVER (PARTITION BY status ORDER BY length) / total AS part
        FROM counted
    )
    SELECT status, sum(runs)::BIGINT AS runs, min(length) FILTER (part >= 0.5) / 1e6 AS p50_seconds,
           min(length) FILTER (part >= 0.95) / 1e6 AS p95_seconds,
           min(length) FILTER (part >= 0.99) / 1e6 AS p99_seconds, max(longest) / 1e6 AS max_seconds
    FROM ranked GROUP BY status
    ORDER BY status"""
