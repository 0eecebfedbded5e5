package avro

// schemaText is a schema's JSON: a named type is defined where it first stands and
// referred to by its full name afterwards.
func schemaText(n *node) string {
	return string(nameOnce(n, map[string]bool{}).json())
}

// nameOnce returns n with every further definition of a record of Debezium's own
// namespaces replaced by a reference. It copies what it changes.
func nameOnce(n *node, seen map[string]bool) *node {
	c := *n
	if c.kind == "record" && c.namespace != "" {
		full := c.namespace + "." + c.name
		if seen[full] {
			return ref(full)
		}
		seen[full] = true
	}
	c.fields = append([]field(nil), n.fields...)
	for i := range c.fields {
		c.fields[i].node = nameOnce(c.fields[i].node, seen)
	}
	c.branches = append([]*node(nil), n.branches...)
	for i := range c.branches {
		c.branches[i] = nameOnce(c.branches[i], seen)
	}
	if c.items != nil {
		c.items = nameOnce(c.items, seen)
	}
	return &c
}
