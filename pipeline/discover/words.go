package discover

import (
	"slices"
	"strings"
	"unicode"
)

// words splits an identifier into lower-case words, singular ones: at underscores and
// other marks, at changes of case, and, where a part is written together (teammembers,
// emailverified), into words that legacy schemas are known to use.
func words(identifier string) []string {
	var parts []string
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			parts = append(parts, strings.ToLower(b.String()))
			b.Reset()
		}
	}
	runes := []rune(identifier)
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			flush()
			continue
		case unicode.IsUpper(r) && i > 0:
			small := i+1 < len(runes) && unicode.IsLower(runes[i+1])
			if unicode.IsLower(runes[i-1]) || unicode.IsUpper(runes[i-1]) && small {
				flush()
			}
		}
		b.WriteRune(r)
	}
	flush()
	var out []string
	for _, p := range parts {
		for _, w := range split(p) {
			out = append(out, singular(w))
		}
	}
	return out
}

// known are words that are written together with others in real schemas.
var known = strings.Fields(`
	access account active address admin allowed archived at auth banned billing bot by client company confirmed count
	create created current customer data date default delete deleted digest disabled display domain domains
	email emails enabled encrypted external family first full given group groups guest handle hash hashed id identity
	invitation invite invited invites is key last level login mail member members membership memberships
	name named nick number oauth of org organisation organisations organization organizations owner
	parent pass password people permission person phone primary profile project projects
	remote remove removed role roles scheme secondary service session sessions setting settings site slug social state status
	sub subdomain super suspended system team teams tenant tenants time title token tokens type updated update
	user users uuid verification verified web workspace workspaces`)

// split cuts a part into known words when all of it can be, with as few as possible.
func split(part string) []string {
	best := make([][]string, len(part)+1)
	best[0] = []string{}
	for end := 1; end <= len(part); end++ {
		for _, w := range known {
			start := end - len(w)
			if start < 0 || part[start:end] != w || best[start] == nil {
				continue
			}
			if best[end] == nil || len(best[start])+1 < len(best[end]) {
				best[end] = append(slices.Clone(best[start]), w)
			}
		}
	}
	if best[len(part)] == nil {
		return []string{part}
	}
	return best[len(part)]
}

func singular(w string) string {
	switch {
	case w == "people":
		return "person"
	case w == "is" || w == "has" || w == "was" || len(w) < 4,
		strings.HasSuffix(w, "ss"), strings.HasSuffix(w, "us"), strings.HasSuffix(w, "is"):
		return w
	case strings.HasSuffix(w, "ies"):
		return strings.TrimSuffix(w, "ies") + "y"
	case w == "addresses" || w == "businesses" || w == "statuses":
		return strings.TrimSuffix(w, "es")
	}
	return strings.TrimSuffix(w, "s")
}

// endsWith says whether the words end with others.
func endsWith(all, tail []string) bool {
	return len(tail) > 0 && len(all) >= len(tail) && slices.Equal(all[len(all)-len(tail):], tail)
}

func last(w []string) string {
	if len(w) == 0 {
		return ""
	}
	return w[len(w)-1]
}
