package verify

import (
	"strings"

	"github.com/backstitch/backstitch/internal/figures"
)

// todo says what a person does about a class; empty where there is nothing to do.
var todo = map[Class]string{
	Missing:       "--repair makes it again",
	Extra:         "one that should have been deleted: --repair asks for consent to its delete; one that others made: decide, or allow such with --allow-foreign",
	Different:     "--repair writes it again",
	Duplicate:     "decide which object stays, and delete the other one in Stytch",
	ForeignChange: "decide which one is right, and bring the legacy row and Stytch to the same value",
	Pending:       "verify again with a longer --timeout, or look at `backstitch lag`",
	Unverifiable:  "look at `backstitch parked list`",
}

// summary is the verdict in a sentence, as somebody signs it.
func (r *Report) summary() string {
	switch r.Verdict {
	case Clean:
		text := "clean: everything that was compared is in Stytch as it should be"
		if n := r.Classes[NamedLoss]; n > 0 {
			text += "; " + figures.Number(n) + " lack what Stytch cannot take"
		}
		if n := r.Classes[Released]; n > 0 {
			text += "; " + figures.Number(n) + " were released, and not compared"
		}
		return text
	case DriftFound:
		text := "drift: " + r.of(Class.Drift)
		if open := r.of(Class.Open); open != "" {
			text += "; not known: " + open
		}
		return text
	case CouldNotTell:
	}
	text := "could not tell: "
	switch open := r.of(Class.Open); {
	case len(r.Entities) == 0:
		return text + "nothing should be in Stytch, which proves nothing"
	case open != "":
		return text + open
	}
	return text + "a canary did not authenticate, or could not be tried"
}

// of lists the classes of a sort that have any, with their numbers.
func (r *Report) of(sort func(Class) bool) string {
	var parts []string
	for _, c := range Classes {
		if n := r.Classes[c]; n > 0 && sort(c) {
			parts = append(parts, figures.Number(n)+" "+strings.ReplaceAll(string(c), "_", " "))
		}
	}
	return strings.Join(parts, ", ")
}

// expected are the entities that should be there, in words.
func (r *Report) expected() string {
	return figures.Count(r.Entities["organization"], "organization") + " and " + figures.Count(r.Entities["member"], "member")
}
