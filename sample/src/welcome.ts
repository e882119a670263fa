/** What is printed at the start: each line that begins with `curl` is to be pasted into another terminal. */
export function welcome(listening: string, keptIn: string): string {
  const { port } = new URL(listening);
  const shop = `http://localhost:${port || 80}`;
  return `
The storefront listens on ${shop}. ${keptIn}

Three lines for another terminal:

1. Read a product twice. The database answers one query, the cache the other read.
curl -s -w '\\n' '${shop}/{database,products/1,products/1,database}'

2. Read a profile, rename it, read it again. The old name was cached; nobody sees it again.
curl -s -w '\\n' ${shop}/profiles/u1; curl -s -X PATCH -d name=Grace ${shop}/profiles/u1; curl -s -w '\\n' ${shop}/profiles/u1

3. Ten read a product at once, which nobody has read before. One of them asks the database, ten are answered.
curl -s -w '\\n' ${shop}/database; curl --no-progress-meter -Z --parallel-immediate -o /dev/null -w '%{http_code} ' '${shop}/products/2?[1-10]'; curl -s -w '\\n' ${shop}/database

More to try, such as views that are written in batches: sample/README.md
`;
}
