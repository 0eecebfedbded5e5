package stytch

// RefusedSlug is the SQL condition that Stytch refuses the slug in a text expression:
// it takes 2 to 128 letters, digits, '-', '.', '_' and '~', at least one of them a
// letter or digit (Stytch's API reference, Create Organization). NULL for a NULL.
func RefusedSlug(expression string) string {
	return "(" + expression + " !~ '^[A-Za-z0-9._~-]{2,128}$' OR " + expression + " !~ '[A-Za-z0-9]')"
}
