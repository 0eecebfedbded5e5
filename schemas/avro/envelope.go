package avro

import "encoding/json"

// envelopeSchema is the value schema of a table's topic: field order, names and
// attributes as Debezium's SchemaFactory and Confluent's AvroData give them.
func envelopeSchema(namespace string, columns []field) *node {
	value := &node{kind: "record", name: "Value", fields: columns, connect: connect{name: namespace + ".Value"}}
	long := func(name string) field { return field{name: name, node: optional(primitive("long")), def: jsonNull} }
	return &node{
		kind: "record", name: "Envelope", namespace: namespace,
		connect: connect{version: 2, name: namespace + ".Envelope"},
		fields: []field{
			{name: "before", node: optional(value), def: jsonNull},
			{name: "after", node: optional(ref("Value")), def: jsonNull},
			{name: "source", node: sourceSchema()},
			{name: "transaction", node: optional(transactionSchema()), def: jsonNull},
			{name: "op", node: primitive("string")},
			long("ts_ms"), long("ts_us"), long("ts_ns"),
		},
	}
}

func keySchema(namespace string, columns []field) *node {
	return &node{kind: "record", name: "Key", namespace: namespace, fields: columns, connect: connect{name: namespace + ".Key"}}
}

func sourceSchema() *node {
	text := func(name string) field { return field{name: name, node: primitive("string")} }
	maybe := func(name, kind string) field {
		return field{name: name, node: optional(primitive(kind)), def: jsonNull}
	}
	notSnapshot := json.RawMessage(`"false"`)
	snapshot := semantic("string", "io.debezium.data.Enum",
		parameter{"allowed", "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"})
	snapshot.connect.def = notSnapshot
	return &node{
		kind: "record", name: "Source", namespace: "io.debezium.connector.postgresql",
		connect: connect{version: 1, name: "io.debezium.connector.postgresql.Source"},
		fields: []field{
			text("version"), text("connector"), text("name"),
			{name: "ts_ms", node: primitive("long")},
			{name: "snapshot", node: &node{kind: "union", branches: []*node{snapshot, primitive("null")}}, def: notSnapshot},
			text("db"), maybe("sequence", "string"), maybe("ts_us", "long"), maybe("ts_ns", "long"),
			text("schema"), text("table"), maybe("txId", "long"), maybe("lsn", "long"), maybe("xmin", "long"),
			maybe("origin", "string"), maybe("origin_lsn", "long"),
		},
	}
}

func transactionSchema() *node {
	return &node{
		kind: "record", name: "block", namespace: "event",
		connect: connect{version: 1, name: "event.block"},
		fields: []field{
			{name: "id", node: primitive("string")},
			{name: "total_order", node: primitive("long")},
			{name: "data_collection_order", node: primitive("long")},
		},
	}
}

func variableScaleSchema() *node {
	return &node{
		kind: "record", name: "VariableScaleDecimal", namespace: "io.debezium.data",
		connect: connect{version: 1, doc: "Variable scaled decimal", name: "io.debezium.data.VariableScaleDecimal"},
		fields:  []field{{name: "scale", node: primitive("int")}, {name: "value", node: primitive("bytes")}},
	}
}

func pointSchema() *node {
	return &node{
		kind: "record", name: "Point", namespace: "io.debezium.data.geometry",
		connect: connect{version: 1, doc: "Geometry (POINT)", name: "io.debezium.data.geometry.Point"},
		fields: []field{
			{name: "x", node: primitive("double")},
			{name: "y", node: primitive("double")},
			{name: "wkb", node: optional(primitive("bytes")), def: jsonNull},
			{name: "srid", node: optional(primitive("int")), def: jsonNull},
		},
	}
}
