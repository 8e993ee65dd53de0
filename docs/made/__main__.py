from docs.made import pages

for page, text in pages().items():
    page.write_text(text)
