"""`python -m unittest discover -s tests`: what the shop promises its customers."""

import asyncio
import json
import unittest

import server


class CatalogueTest(unittest.TestCase):
    def test_every_item_has_a_name_and_a_price(self) -> None:
        for found in server.items({})["items"]:
            self.assertTrue(found["name"])
            self.assertGreater(found["cents"], 0)

    def test_an_item_is_found_by_its_number(self) -> None:
        self.assertEqual(server.item("3")["name"], "Kettle")

    def test_an_unknown_number_is_refused(self) -> None:
        for number in ("0", "999", "-1", "kettle", ""):
            with self.assertRaises(server.Refused) as refused:
                server.item(number)
            self.assertEqual(refused.exception.status, 404)


class OrderTest(unittest.TestCase):
    def test_an_order_costs_price_times_quantity(self) -> None:
        order = server.price(b'{"item": 3, "quantity": 2}')
        self.assertEqual(order, {"item": 3, "quantity": 2, "cents": 2 * server.ITEMS[3]["cents"]})

    def test_what_is_no_order_is_refused(self) -> None:
        for body in (b"", b"[]", b"{}", b'{"item": 3, "quantity": 0}', b'{"item": 3, "quantity": "many"}'):
            with self.assertRaises(server.Refused) as refused:
                server.price(body)
            self.assertEqual(refused.exception.status, 400)


class HttpTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.server = server.Server(server.Shop())
        port = await self.server.start("127.0.0.1", 0)
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)

    async def asyncTearDown(self) -> None:
        self.writer.close()
        await self.server.stop()

    async def ask(self, line: str, body: bytes = b"") -> tuple[int, str, bytes]:
        self.writer.write(f"{line} HTTP/1.1\r\nhost: shop\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        sent = 0 if line.startswith("HEAD") else length
        return int(head.split(" ")[1]), head, await self.reader.readexactly(sent)

    async def test_the_front_page_names_the_shop_and_its_version(self) -> None:
        status, head, body = await self.ask("GET /")
        self.assertEqual(status, 200)
        self.assertIn("x-shop-version: ", head)
        self.assertIn(server.VERSION.encode(), body)

    async def test_a_connection_serves_one_request_after_the_other(self) -> None:
        statuses = [(await self.ask(line))[0] for line in ("GET /", "HEAD /", "GET /nowhere", "POST /", "GET /")]
        self.assertEqual(statuses, [200, 200, 404, 405, 200])

    async def test_a_bad_order_is_told_what_an_order_looks_like(self) -> None:
        status, _, body = await self.ask("POST /orders", b"{}")
        self.assertEqual(status, 400)
        self.assertIn("quantity", json.loads(body)["error"])

    async def test_what_is_no_http_is_refused(self) -> None:
        self.writer.write(b"hello\r\n\r\n")
        self.assertTrue((await self.reader.read()).startswith(b"HTTP/1.1 400"))


if __name__ == "__main__":
    unittest.main()
