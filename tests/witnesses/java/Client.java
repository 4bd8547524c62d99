// Nimbus' OAuth 2.0 SDK and JOSE library as a client of the issuer; ../README.md says what is asked for and what is
// printed. Run from its source: java -cp 'jars/*' Client.java DIRECTORY AUDIENCE
import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.source.JWKSourceBuilder;
import com.nimbusds.jose.proc.DefaultJOSEObjectTypeVerifier;
import com.nimbusds.jose.proc.JWSVerificationKeySelector;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jose.util.JSONObjectUtils;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.SignedJWT;
import com.nimbusds.jwt.proc.DefaultJWTClaimsVerifier;
import com.nimbusds.jwt.proc.DefaultJWTProcessor;
import com.nimbusds.oauth2.sdk.ClientCredentialsGrant;
import com.nimbusds.oauth2.sdk.Scope;
import com.nimbusds.oauth2.sdk.TokenIntrospectionRequest;
import com.nimbusds.oauth2.sdk.TokenIntrospectionResponse;
import com.nimbusds.oauth2.sdk.TokenRequest;
import com.nimbusds.oauth2.sdk.TokenResponse;
import com.nimbusds.oauth2.sdk.TokenRevocationRequest;
import com.nimbusds.oauth2.sdk.as.AuthorizationServerMetadata;
import com.nimbusds.oauth2.sdk.auth.ClientAuthentication;
import com.nimbusds.oauth2.sdk.auth.PKITLSClientAuthentication;
import com.nimbusds.oauth2.sdk.auth.X509CertificateConfirmation;
import com.nimbusds.oauth2.sdk.http.HTTPResponse;
import com.nimbusds.oauth2.sdk.id.ClientID;
import com.nimbusds.oauth2.sdk.id.Issuer;
import com.nimbusds.oauth2.sdk.token.AccessToken;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.X509Certificate;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;

public final class Client {
    private static final char[] PASSWORD = "changeit".toCharArray();
    private static final Set<JWSAlgorithm> ALGORITHMS =
            Set.of(JWSAlgorithm.ES256, JWSAlgorithm.ES384, JWSAlgorithm.PS256, JWSAlgorithm.RS256);

    private final Path directory;
    private final String audience;
    private X509Certificate certificate;

    private Client(Path directory, String audience) {
        this.directory = directory;
        this.audience = audience;
    }

    public static void main(String[] arguments) throws Exception {
        Path directory = Path.of(arguments[0]);
        // Before anything of TLS is loaded: what discovery and JWK Sets are fetched with trusts it, too.
        System.setProperty("javax.net.ssl.trustStore", directory.resolve("truststore.p12").toString());
        System.setProperty("javax.net.ssl.trustStorePassword", new String(PASSWORD));
        System.setProperty("javax.net.ssl.trustStoreType", "PKCS12");
        Map<String, Object> seen;
        try {
            seen = new Client(directory, arguments[1]).seen();
        } catch (IOException error) {
            seen = Map.of("failed", String.valueOf(error));
        }
        System.out.println(JSONObjectUtils.toJSONString(seen));
    }

    private Map<String, Object> seen() throws Exception {
        Issuer issuer = new Issuer(read("issuer"));
        AuthorizationServerMetadata metadata = AuthorizationServerMetadata.resolve(issuer);
        var endpoints = metadata.getMtlsEndpointAliases();
        ClientAuthentication authentication =
                new PKITLSClientAuthentication(new ClientID(read("client-id")), tls().getSocketFactory());

        var request = new TokenRequest(
                endpoints.getTokenEndpointURI(), authentication, new ClientCredentialsGrant(), new Scope("orders.read"));
        TokenResponse answer = TokenResponse.parse(request.toHTTPRequest().send());
        if (!answer.indicatesSuccess()) {
            var error = answer.toErrorResponse();
            int status = error.toHTTPResponse().getStatusCode();
            String code = error.getErrorObject().getCode();
            return Map.of("refused", Map.of("status", status, "error", code));
        }
        AccessToken token = answer.toSuccessResponse().getTokens().getAccessToken();

        Map<String, Object> seen = new HashMap<>();
        seen.put("endpoint", endpoints.getTokenEndpointURI().toString());
        seen.put("type", token.getType().getValue());
        verify(token.getValue(), issuer, metadata, seen);
        var introspection = endpoints.getIntrospectionEndpointURI();
        seen.put("introspection", introspect(introspection, authentication, token));
        HTTPResponse revoked = new TokenRevocationRequest(endpoints.getRevocationEndpointURI(), authentication, token)
                .toHTTPRequest().send();
        revoked.ensureStatusCode(200);
        seen.put("revoked", introspect(introspection, authentication, token));
        return seen;
    }

    private SSLContext tls() throws Exception {
        KeyManager[] own = null;
        if (Files.exists(directory.resolve("keystore.p12"))) {
            KeyStore store = KeyStore.getInstance(directory.resolve("keystore.p12").toFile(), PASSWORD);
            certificate = (X509Certificate) store.getCertificate(store.aliases().nextElement());
            KeyManagerFactory factory = KeyManagerFactory.getInstance("PKIX");
            factory.init(store, PASSWORD);
            own = factory.getKeyManagers();
        }
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(own, null, null);
        return context;
    }

    private void verify(String token, Issuer issuer, AuthorizationServerMetadata metadata, Map<String, Object> seen)
            throws Exception {
        var processor = new DefaultJWTProcessor<SecurityContext>();
        processor.setJWSTypeVerifier(new DefaultJOSEObjectTypeVerifier<>(new JOSEObjectType("at+jwt")));
        processor.setJWSKeySelector(new JWSVerificationKeySelector<>(
                ALGORITHMS, JWKSourceBuilder.create(metadata.getJWKSetURI().toURL()).build()));
        processor.setJWTClaimsSetVerifier(new DefaultJWTClaimsVerifier<>(
                audience,
                new JWTClaimsSet.Builder().issuer(issuer.getValue()).build(),
                Set.of("exp", "sub", "client_id", "iat", "jti")));
        SignedJWT parsed = SignedJWT.parse(token);
        JWTClaimsSet claims = processor.process(parsed, null);
        var bound = X509CertificateConfirmation.parse(claims);
        if (!X509CertificateConfirmation.of(certificate).equals(bound)) {
            throw new IOException("the token is bound to " + bound + ", not to the certificate of this client");
        }
        seen.put("header", parsed.getHeader().toJSONObject());
        seen.put("claims", claims.toJSONObject());
        seen.put("thumbprint", bound.getValue().toString());
    }

    private static Map<String, Object> introspect(
            java.net.URI endpoint, ClientAuthentication authentication, AccessToken token) throws Exception {
        var request = new TokenIntrospectionRequest(endpoint, authentication, token);
        return TokenIntrospectionResponse.parse(request.toHTTPRequest().send()).toSuccessResponse().toJSONObject();
    }

    private String read(String name) throws IOException {
        return Files.readString(directory.resolve(name)).strip();
    }
}
