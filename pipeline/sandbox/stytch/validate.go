package stytch

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

var (
	externalIDPattern = regexp.MustCompile(`^[A-Za-z0-9._|-]{1,128}$`)
	slugPattern       = regexp.MustCompile(`^[A-Za-z0-9._~-]{2,128}$`)
	idPattern         = regexp.MustCompile(`^[A-Za-z0-9._~|-]{1,128}$`)
	localPattern      = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$")
	domainPattern     = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+([a-z]{2,63}|xn--[a-z0-9-]{1,59})$`)
	phonePattern      = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
)

// Mailbox providers whose domains belong to nobody's organization.
var commonDomains = []string{
	"gmail.com", "googlemail.com", "aol.com", "yahoo.com", "icloud.com", "hotmail.com", "msn.com", "comcast.net",
	"live.com", "outlook.com", "att.net", "earthlink.net", "me.com", "mac.com",
}

var disposableDomains = []string{"mailinator.com", "guerrillamail.com", "10minutemail.com", "yopmail.com"}

func looksLikeID(id string) bool { return idPattern.MatchString(id) }

func validExternalID(id string) bool { return externalIDPattern.MatchString(id) }

func validSlug(slug string) bool {
	return slugPattern.MatchString(slug) && strings.ContainsFunc(slug, func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	})
}

// normalEmail is the address as Stytch echoes it, in lower case.
func normalEmail(address string) (string, error) {
	address = strings.ToLower(strings.TrimSpace(address))
	at := strings.LastIndexByte(address, '@')
	if at < 1 || at > 64 || len(address) > 254 || !localPattern.MatchString(address[:at]) || !domainPattern.MatchString(address[at+1:]) {
		return "", refuse("invalid_email", "The email address is invalid.")
	}
	return address, nil
}

func emailDomain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

func validPhone(number string) error {
	if !phonePattern.MatchString(number) {
		return refuse("invalid_phone_number", "The phone number is invalid: it should be in the E.164 format.")
	}
	return nil
}

func validText(text string) error {
	if !utf8.ValidString(text) {
		return badRequest("A text is not UTF-8.")
	}
	if strings.ContainsRune(text, '\u200b') {
		return refuse("forbidden_character_zero_width_space", "A text holds a zero width space.")
	}
	return nil
}

// domainErrors are the error types of one list of domains.
type domainErrors struct{ invalid, common, disposable, duplicate string }

func normalDomains(domains []string, e domainErrors) ([]string, error) {
	normal := make([]string, 0, len(domains))
	for _, d := range domains {
		d = strings.ToLower(strings.TrimSpace(d))
		switch {
		case !domainPattern.MatchString(d):
			return nil, refuse(e.invalid, "A domain is invalid.")
		case slices.Contains(commonDomains, d):
			return nil, refuse(e.common, "A domain is too common.")
		case e.disposable != "" && slices.Contains(disposableDomains, d):
			return nil, refuse(e.disposable, "A domain is one of disposable addresses.")
		case slices.Contains(normal, d) && e.duplicate != "":
			return nil, refuse(e.duplicate, "A domain is listed twice.")
		}
		normal = append(normal, d)
	}
	return normal, nil
}
