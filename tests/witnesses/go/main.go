// golang.org/x/oauth2, go-oidc and go-jose as a client of the issuer; ../README.md says what is asked for and what is
// printed. None of them introspects or revokes tokens.
package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

type metadata struct {
	Issuer  string `json:"issuer"`
	JWKS    string `json:"jwks_uri"`
	Aliases struct {
		Token string `json:"token_endpoint"`
	} `json:"mtls_endpoint_aliases"`
}

type outcome struct {
	Endpoint   string         `json:"endpoint,omitempty"`
	Type       string         `json:"type,omitempty"`
	Header     map[string]any `json:"header,omitempty"`
	Claims     map[string]any `json:"claims,omitempty"`
	Thumbprint string         `json:"thumbprint,omitempty"`
	Refused    *refusal       `json:"refused,omitempty"`
	Failed     string         `json:"failed,omitempty"`
}

type refusal struct {
	Status int    `json:"status"`
	Error  string `json:"error"`
}

var algorithms = []string{oidc.ES256, oidc.ES384, oidc.PS256, oidc.RS256, oidc.EdDSA}

func main() {
	seen, err := ask(os.Args[1], os.Args[2])
	var retrieve *oauth2.RetrieveError
	switch {
	case errors.As(err, &retrieve):
		seen = outcome{Refused: &refusal{retrieve.Response.StatusCode, retrieve.ErrorCode}}
	case err != nil:
		seen = outcome{Failed: err.Error()}
	}
	if err := json.NewEncoder(os.Stdout).Encode(seen); err != nil {
		panic(err)
	}
}

func ask(directory, audience string) (outcome, error) {
	config, err := credential(directory)
	if err != nil {
		return outcome{}, err
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	ctx := oidc.ClientContext(context.Background(), client)
	provider, err := oidc.NewProvider(ctx, read(directory, "issuer"))
	if err != nil {
		return outcome{}, fmt.Errorf("discovery: %w", err)
	}
	var known metadata
	if err := provider.Claims(&known); err != nil {
		return outcome{}, fmt.Errorf("metadata: %w", err)
	}
	// AuthStyle is left alone: the library tries HTTP Basic first, as it does for whoever does not know better.
	source := clientcredentials.Config{
		ClientID: read(directory, "client-id"),
		TokenURL: known.Aliases.Token,
		Scopes:   []string{"orders.read"},
	}
	token, err := source.Token(ctx)
	if err != nil {
		return outcome{}, fmt.Errorf("token: %w", err)
	}
	seen := outcome{Endpoint: known.Aliases.Token, Type: token.Type(), Thumbprint: thumbprint(config)}
	seen.Header, seen.Claims, err = verify(ctx, provider, token.AccessToken, audience)
	return seen, err
}

func credential(directory string) (*tls.Config, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(read(directory, "ca.crt"))) {
		return nil, errors.New("ca.crt has no certificate")
	}
	config := &tls.Config{RootCAs: roots}
	crt := filepath.Join(directory, "tls.crt")
	if _, err := os.Stat(crt); err != nil {
		return config, nil
	}
	pair, err := tls.LoadX509KeyPair(crt, filepath.Join(directory, "tls.key"))
	config.Certificates = []tls.Certificate{pair}
	return config, err
}

func verify(ctx context.Context, provider *oidc.Provider, token, audience string) (map[string]any, map[string]any, error) {
	verifier := provider.Verifier(&oidc.Config{ClientID: audience, SupportedSigningAlgs: algorithms})
	verified, err := verifier.Verify(ctx, token)
	if err != nil {
		return nil, nil, fmt.Errorf("verification: %w", err)
	}
	claims := map[string]any{}
	if err := verified.Claims(&claims); err != nil {
		return nil, nil, err
	}
	allowed := make([]jose.SignatureAlgorithm, len(algorithms))
	for i, name := range algorithms {
		allowed[i] = jose.SignatureAlgorithm(name)
	}
	parsed, err := jose.ParseSigned(token, allowed)
	if err != nil {
		return nil, nil, err
	}
	head := parsed.Signatures[0].Header
	header := map[string]any{"alg": head.Algorithm, "kid": head.KeyID, "typ": head.ExtraHeaders[jose.HeaderType]}
	return header, claims, nil
}

func thumbprint(config *tls.Config) string {
	if len(config.Certificates) == 0 {
		return ""
	}
	digest := sha256.Sum256(config.Certificates[0].Certificate[0])
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

func read(directory, name string) string {
	content, err := os.ReadFile(filepath.Join(directory, name))
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(content))
}
