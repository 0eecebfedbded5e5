package transform

// wideFanOut is the number of entities up to which a changed row counts as a
// small change: what only rows with a larger fan-out touch goes to the backfill
// lane, so that a live change never waits behind a role that 100,000 members
// share. Batch size says nothing: after a stall every ordinary batch is large
// (hazard C18).
const wideFanOut = 100

// laneSQL is the lane of an entity that changes: e is its stored row, wide says
// how it was touched now. An outstanding small change stays live; once it is
// applied, or when a small change comes again, fan-out decides anew.
const laneSQL = `CASE WHEN excluded.lane = 'live' OR e.lane = 'live' AND e.status <> 'current' THEN 'live' ELSE 'backfill' END`
