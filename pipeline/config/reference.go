package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Reference is the table of every key for docs/configuration.md.
func Reference() string {
	var b strings.Builder
	b.WriteString(`# Configuration

One YAML file describes a pipeline; ` + "`pipeline/config/example.yaml`" + ` is a commented one. An unknown, duplicate or wrongly typed key
is an error with file and line, and so is a key of a part that is not built yet: nothing is ignored.

` + "`${NAME}`" + ` stands for a variable of the environment, which must be set, and ` + "`${file:/path}`" + ` for a file's content without
its last line break; ` + "`$${`" + ` is a literal ` + "`${`" + `. Inside ` + "`{…}` and `[…]`" + ` put references into quotes. The SQL of mappings and routes
stays as it is written. A secret is given in one of these two ways (or, less well, stands in the file), never as an argument of a
command, where every process of the machine could read it; it is not shown in any log, metric, error or answer. Variables and files
are read when Backstitch starts: a secret or certificate that changes afterwards needs a restart (one instance after another, while
another works).

TLS to PostgreSQL, source and ledger, is part of the connection URL, as in libpq:
` + "`postgres://user:${file:/run/secrets/password}@db.internal/app?sslmode=verify-full&sslrootcert=/etc/backstitch/db-ca.pem`" + `, with
` + "`sslcert` and `sslkey`" + ` where the server asks for a certificate; in a URL, percent-encode what is special in a password. ` + "`check`" + ` warns of a
URL that neither encrypts nor verifies (any ` + "`sslmode`" + ` below ` + "`verify-ca`" + `) while the server is another machine. TLS to Kafka, the
registry and the admin API is configured below; a server's certificate is always verified.

| key | default | meaning |
| --- | --- | --- |
`)
	rows(&b, reflect.ValueOf(&Config{}).Elem(), "")
	b.WriteString(`
A route that is a mapping names key columns of the SELECT and columns of the changed row
(` + "`users: {external_id: id}`" + `); a route that is text is a SELECT over the relation ` + "`changed`" + `. Tables are written as in
SQL: ` + "`public.\"Team\"`" + `, quoted where SQL needs quotes, in ` + "`public`" + ` unless a schema is named.

Captured tables, mappings, routes, ` + "`assume_emails_verified`, `external_id_prefix`" + ` and the modes of ` + "`deletes`" + ` are the pipeline's
digest: a file with another digest needs ` + "`run --accept-mapping`" + `. Everything else may be tuned while a pipeline lives.
`)
	return b.String()
}

func rows(b *strings.Builder, v reflect.Value, path string) {
	for _, f := range fields(v, path) {
		value := f.tag.Get("default")
		switch {
		case f.tag.Get("unless") != "":
			value = "required without `" + f.tag.Get("unless") + "`"
		case f.tag.Get("required") != "":
			value = "required"
		case value != "":
			value = "`" + value + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s%s |\n", f.path, value, strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(f.tag.Get("doc")), bounds(f))
		if f.value.Kind() == reflect.Struct {
			rows(b, f.value, f.path)
		}
	}
}

// bounds says what a number or duration may be.
func bounds(f field) string {
	low, high := f.tag.Get("min"), f.tag.Get("max")
	switch {
	case low != "" && high != "":
		return fmt.Sprintf(" From %s to %s.", low, high)
	case low != "":
		return fmt.Sprintf(" At least %s.", low)
	}
	return ""
}
