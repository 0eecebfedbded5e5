// Package avro turns row changes into the records that Debezium's PostgreSQL
// connector (3.x, default settings) would write with Confluent's Avro converter,
// and back into PostgreSQL's text.
//
// A Table is compiled from a relation: one function per column that goes straight
// from PostgreSQL's text output to Avro, without maps and without allocations
// besides the growth of the destination. A Decoder is compiled from the writer's
// schema, ours or Debezium's own. goavro is the codec of record: tests prove both
// byte-equal with it.
//
// # What travels losslessly, and what is refused
//
// For every supported type, text → Avro → text is the identity under the session
// settings of internal/pgsession; a test proves it on PostgreSQL's own output.
//
// A value that its Avro type cannot hold is a *ValueError, never null, never
// rounded, never another value: NaN or an infinity in a numeric, more digits than
// the declared precision or scale, a timestamp without time zone after the year
// 294246, an array of several dimensions or with bounds of its own, money in a
// locale other than dollars, and a value that equals Debezium's placeholder for an
// unchanged TOAST value. The caller keeps such a value some other way: the publisher
// puts its text into a header of the record. A NULL in a column that is
// believed NOT NULL is a *NullError (hazard S24): the caller makes the column
// nullable and registers again.
//
// # Differences from Debezium, all readable by its readers
//
//   - source.version is Backstitch's own; source.lsn is the commit LSN and
//     source.sequence [commit LSN, change LSN], because an event's own LSN is not in
//     commit order.
//   - interval is io.debezium.time.Interval (interval.handling.mode=string): the
//     default MicroDuration averages months and cannot be turned back.
//   - bit varying is a string: io.debezium.data.Bits loses leading zeros.
//   - numeric without scale keeps the scale it has (Debezium strips zeros).
//   - time with time zone keeps its offset (Debezium turns it into UTC).
//   - elements of an enum array may be null.
//   - a type that Debezium leaves out travels as a string, with a warning.
//   - bit(1), money and hstore have the attribute backstitch.type on their Avro
//     type, and a column whose name Avro forbids has backstitch.column on its field:
//     the decoder needs them, other readers ignore them.
//
// The default of a nullable decimal column stands in the schema as Debezium writes
// it, which is right; goavro refuses such a schema, so a reader in Go takes another
// library or reads with a Decoder.
//
// Debezium's own records are read as well. What its forms have lost stays lost: the
// months of an interval, the leading zeros of bit varying, the offset of time with
// time zone; and its bit(1), money and hstore cannot be told from boolean, numeric
// and json.
package avro
