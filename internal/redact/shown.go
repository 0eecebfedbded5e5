package redact

// longestShown bounds a key that people see whole; longer ones are texts.
const longestShown = 64

// ShownKey is a key as a report shows it to people: an identifier as it is, and what
// may be an address, a phone number or a name as "sha256:" and Key's digits (invariant
// 8). An identifier has at most 64 letters, digits and any of . _ : | / -.
func ShownKey(key string) string {
	if key == "" || len(key) > longestShown {
		return "sha256:" + Key(key)
	}
	for i := range len(key) {
		switch c := key[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == ':', c == '|', c == '/', c == '-':
		default:
			return "sha256:" + Key(key)
		}
	}
	return key
}
