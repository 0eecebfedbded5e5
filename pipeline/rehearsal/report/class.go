package report

import (
	"cmp"
	"slices"
	"strings"

	"github.com/backstitch/backstitch/consumers"
)

// Class is the cause of a finding: a consumers.Reason or consumers.Loss by its name,
// or one of those that only a rehearsal tells apart.
type Class string

// The classes beyond reasons and losses. A collision is the reason duplicate_value,
// told apart by the value that two entities share.
const (
	DuplicateEmail      Class = "duplicate_email"       // in an organization
	DuplicatePhone      Class = "duplicate_phone"       // in an organization
	DuplicateSlug       Class = "duplicate_slug"        // in the project
	DuplicateExternalID Class = "duplicate_external_id" // of an organization in the project, of a member in its organization
	RefusedDomain       Class = "refused_domain"        // that members of an organization may have

	NoOrganization Class = "no_organization"    // members whose organization the mapping does not return
	NullKey        Class = "null_key"           // the mapping returns a row without a key
	Dangling       Class = "dangling_reference" // a row's foreign key points to nothing
)

// Severity says what a finding means for who signs.
type Severity string

// The severities, the worst first.
const (
	KeptOut   Severity = "kept_out"  // not in Stytch as desired, until a person acts
	Lost      Severity = "lost"      // in Stytch, but for something that Stytch cannot take
	LeftOut   Severity = "left_out"  // the mapping does not ask for it
	Unsettled Severity = "unsettled" // nobody can tell: the rehearsal ended too early
)

var severities = []Severity{KeptOut, Lost, LeftOut, Unsettled}

// entry is what a report says about a class.
type entry struct {
	class    Class
	severity Severity
	title    string
	// advice of the reason, or the loss, of the same name stands where this says nothing:
	// what it says instead is what only a rehearsal's reader can do.
	advice consumers.Advice
}

// consequence says that a class ends when another finding is resolved.
func (e entry) consequence() bool {
	return e.class == Class(consumers.ReasonBlockedByOrganization) || e.class == Class(consumers.ReasonBlockedByHolder)
}

// entries are in the order in which findings of one severity and number are listed.
var entries = []entry{
	{DuplicateEmail, KeptOut, "One e-mail address, several members of an organization", consumers.Advice{
		Means: "Stytch keeps an address unique in its organization, without regard to case. Whoever is created first has it; the others are not created.",
		Fix:   "Merge the accounts in the legacy system, or change one of the addresses, or let the SELECT return one row a person.",
	}},
	{DuplicatePhone, KeptOut, "One phone number, several members of an organization", consumers.Advice{
		Means: "Stytch keeps a phone number unique in its organization. Whoever is created first has it; the others are not created.",
		Fix:   "Correct one of the numbers in the legacy system, or leave the number out of the SELECT.",
	}},
	{DuplicateSlug, KeptOut, "One slug, several organizations", consumers.Advice{
		Means: "Stytch keeps slugs unique in the project. Whichever is created first has it; the others are not created, nor are their members.",
		Fix:   "Let the SELECT make the slugs differ (append the key), or leave the slug out: Stytch then makes one of the name.",
	}},
	{DuplicateExternalID, KeptOut, "One external id, several entities", consumers.Advice{
		Means: "external_id_prefix and the key make the same external id for two entities, or for one of ours and one of others.",
		Fix:   "Choose another external_id_prefix, or keys that differ.",
	}},
	{Class(consumers.ReasonDuplicate), KeptOut, "A value that Stytch keeps unique, twice", consumers.Advice{}},
	{Class(consumers.ReasonDuplicateKey), KeptOut, "Two rows for one key", consumers.Advice{}},
	{Class(consumers.ReasonEvaluation), KeptOut, "Rows on which the SELECT fails", consumers.Advice{
		Fix: "Correct the rows in the legacy system, or make the SELECT accept them.",
	}},
	{Class(consumers.ReasonIncomplete), KeptOut, "Rows of which a large value was never seen", consumers.Advice{}},
	{Class(consumers.ReasonMissingEmail), KeptOut, "Members without an e-mail address", consumers.Advice{}},
	{Class(consumers.ReasonInvalidEmail), KeptOut, "E-mail addresses that Stytch refuses", consumers.Advice{}},
	{Class(consumers.ReasonInvalidSlug), KeptOut, "Slugs that Stytch refuses", consumers.Advice{}},
	{Class(consumers.ReasonInvalidName), KeptOut, "Names that Stytch refuses, or that are missing", consumers.Advice{}},
	{Class(consumers.ReasonInvalidPhone), KeptOut, "Phone numbers that Stytch refuses", consumers.Advice{}},
	{Class(consumers.ReasonInvalidRole), KeptOut, "Roles that the project does not have", consumers.Advice{
		Fix: "Add the roles to the project's policy in the Stytch dashboard, or let the SELECT return roles that it has.",
	}},
	{Class(consumers.ReasonInvalidMetadata), KeptOut, "Metadata too large for Stytch", consumers.Advice{}},
	{Class(consumers.ReasonInvalidField), KeptOut, "Other values that Stytch refuses", consumers.Advice{}},
	{RefusedDomain, KeptOut, "E-mail domains that Stytch refuses", consumers.Advice{
		Means: "Stytch does not let an organization admit addresses of this domain: it belongs to a mailbox provider, is one of disposable addresses, or is none. The detail is its error type.",
		Fix:   "Leave such domains out of email_allowed_domains in the SELECT, or correct them in the legacy system.",
	}},
	{Class(consumers.ReasonDomainClaimed), KeptOut, "Domains that another organization claims", consumers.Advice{
		Fix: "Release the claim in Stytch, or give the members another address.",
	}},
	{Class(consumers.ReasonRetiredEmail), KeptOut, "Addresses retired with another member", consumers.Advice{}},
	{Class(consumers.ReasonForeignObject), KeptOut, "Objects in Stytch that others made", consumers.Advice{}},
	{Class(consumers.ReasonForeignChange), KeptOut, "Values in Stytch that others changed", consumers.Advice{}},
	{Class(consumers.ReasonRefused), KeptOut, "Calls that Stytch refuses", consumers.Advice{
		Fix: "Look the error type up in Stytch's documentation, and remove the cause.",
	}},
	{Class(consumers.ReasonMissing), KeptOut, "Objects that are gone from Stytch", consumers.Advice{}},
	{Class(consumers.ReasonBlockedByOrganization), KeptOut, "Members whose organization is kept out", consumers.Advice{
		Fix: "Resolve the organization: it is among these findings, and its members follow by themselves.",
	}},
	{Class(consumers.ReasonBlockedByHolder), KeptOut, "Entities that wait for one that is kept out", consumers.Advice{
		Fix: "Resolve the holder: it is among these findings.",
	}},
	{Class(consumers.ReasonDeleteBrake), KeptOut, "Deletes over the brake", consumers.Advice{}},
	{Class(consumers.ReasonDeleteHold), KeptOut, "Deletes that the policy holds", consumers.Advice{}},
	{Class(consumers.ReasonUnearned), KeptOut, "Deletes that no row's change caused", consumers.Advice{}},

	{Class(consumers.LossHashFormat), Lost, "Passwords in a format that Stytch cannot take", consumers.Advice{}},
	{Class(consumers.LossEmailUnverified), Lost, "Passwords of unverified addresses", consumers.Advice{}},
	{Class(consumers.LossPhone), Lost, "Phone numbers that are not verified", consumers.Advice{}},
	{Class(consumers.LossCrossOrgPassword), Lost, "Former passwords that stay", consumers.Advice{}},

	{NoOrganization, LeftOut, "Members without an organization", consumers.Advice{
		Means: "organizations.select does not return the organization of these members, so they become nothing in Stytch.",
		Fix:   "Return their organizations too, if they are to be created.",
	}},
	{Dangling, LeftOut, "Rows that point to nothing", consumers.Advice{
		Means: "The row that a foreign key or a join names does not exist, so a SELECT that joins the two does not return the row.",
		Fix:   "Remove or repair the rows in the legacy system, or join with LEFT JOIN where the other side may be missing.",
	}},
	{NullKey, LeftOut, "Rows without a key", consumers.Advice{
		Means: "The mapping returns a NULL in a key column, so nobody can say which entity is meant, and the row becomes nothing.",
		Fix:   "Leave such rows out of the SELECT if that is meant, else return a key for them.",
	}},

	{Class(consumers.ReasonOrganization), Unsettled, "Members that wait for their organization", consumers.Advice{}},
	{Class(consumers.ReasonClaim), Unsettled, "Entities that wait for a value to be given up", consumers.Advice{}},
	{Class(consumers.ReasonBackoff), Unsettled, "Calls that failed for now", consumers.Advice{}},
	{Class(consumers.ReasonSettling), Unsettled, "Calls whose outcome is unknown", consumers.Advice{}},
	{Class(consumers.ReasonHeld), Unsettled, "Entities that wait for a held connector", consumers.Advice{}},
}

// describe finds what is said about a class. A class that is not in the list is named
// as it is: a report of a later version can be read.
func describe(c Class) (entry, int) {
	at := slices.IndexFunc(entries, func(e entry) bool { return e.class == c })
	if at < 0 {
		return entry{class: c, severity: KeptOut, title: strings.ReplaceAll(string(c), "_", " ")}, len(entries)
	}
	e := entries[at]
	advice := consumers.Advise(consumers.Reason(c))
	if e.severity == Lost {
		advice = consumers.AdviseLoss(consumers.Loss(c))
	}
	e.advice.Means, e.advice.Fix = cmp.Or(e.advice.Means, advice.Means), cmp.Or(e.advice.Fix, advice.Fix)
	return e, at
}
